! Conjugate gradients by a team of threads: every dot product is an all-reduce, so all members see the same residual and stop at the
! same step. Checks the solution of A x = b by the residual b - A x, and that two runs give the same bits; stops with 1 if not.
!
!     gfortran -O2 phalanx.f90 dot.f90 -lphalanx -pthread -o dot && ./dot          (phalanx.f90 is in phalanx's include directory)
module solver
  use phalanx
  use, intrinsic :: iso_c_binding
  implicit none
  integer, parameter :: n = 1000

  type :: system
    real(c_double) :: x(0:n + 1), r(0:n + 1), p(0:n + 1), q(0:n + 1), b(0:n + 1)
    integer(c_int) :: steps
  end type

contains

  ! The members' part; A is tridiagonal: -1, 2.1, -1.
  recursive function solve(user, member) bind(c) result(code)
    type(c_ptr), value :: user, member
    integer(c_int) :: code
    type(system), pointer :: s
    integer(c_size_t) :: begin, finish, rank
    integer :: lo, hi, i, step
    real(c_double) :: rho, before, alpha, part
    call c_f_pointer(user, s)
    code = phalanx_member_rank(member, rank)
    if (code /= PHALANX_OK) return
    code = phalanx_member_chunk(member, int(n, c_size_t), begin, finish)
    if (code /= PHALANX_OK) return
    lo = int(begin) + 1
    hi = int(finish)
    s%x(lo:hi) = 0
    s%r(lo:hi) = s%b(lo:hi)
    s%p(lo:hi) = s%b(lo:hi)
    part = sum(s%r(lo:hi)**2)
    code = phalanx_member_all_reduce_double(member, PHALANX_SUM, part, rho)
    if (code /= PHALANX_OK) return
    do step = 1, n
      do i = lo, hi
        s%q(i) = 2.1_c_double * s%p(i) - s%p(i - 1) - s%p(i + 1)
      end do
      part = sum(s%p(lo:hi) * s%q(lo:hi))
      code = phalanx_member_all_reduce_double(member, PHALANX_SUM, part, alpha)
      if (code /= PHALANX_OK) return
      alpha = rho / alpha
      s%x(lo:hi) = s%x(lo:hi) + alpha * s%p(lo:hi)
      s%r(lo:hi) = s%r(lo:hi) - alpha * s%q(lo:hi)
      before = rho
      part = sum(s%r(lo:hi)**2)
      code = phalanx_member_all_reduce_double(member, PHALANX_SUM, part, rho)
      if (code /= PHALANX_OK) return
      if (rank == 0) s%steps = step
      if (rho < 1e-20_c_double) return
      s%p(lo:hi) = s%r(lo:hi) + rho / before * s%p(lo:hi)
      ! Before the neighbours read the new edges.
      code = phalanx_member_wait(member)
      if (code /= PHALANX_OK) return
    end do
  end function

  ! Fails on one member, for whom the others would wait.
  recursive function fails(user, member) bind(c) result(code)
    type(c_ptr), value :: user, member
    integer(c_int) :: code
    integer(c_size_t) :: rank
    code = phalanx_member_rank(member, rank)
    if (.not. c_associated(user) .and. rank == 1) then
      code = 7
      return
    end if
    code = phalanx_member_wait(member)
  end function
end module

program dot
  use solver
  implicit none
  type(system), target :: first, second
  type(c_ptr) :: team
  integer(c_int) :: codes(3)
  type(phalanx_broken_record) :: broken
  real(c_double) :: worst
  integer :: i

  call check(phalanx_team_create(3_c_size_t, team=team), 'create')
  call run(first)
  call run(second)
  worst = 0
  do i = 1, n
    worst = max(worst, abs(first%b(i) - (2.1_c_double * first%x(i) - first%x(i - 1) - first%x(i + 1))))
  end do
  print '(a, i0, a, es9.2)', 'dot: ', first%steps, ' steps, largest residual ', worst
  if (worst > 1e-8_c_double .or. first%steps < 2) call wrong('the residual')
  if (any(bits(first%x) /= bits(second%x)) .or. first%steps /= second%steps) call wrong('two runs differ')

  if (phalanx_team_run(team, c_funloc(fails), c_null_ptr, codes) /= PHALANX_FAILED) call wrong('rank 1 has failed')
  if (any(codes /= [PHALANX_BROKEN, 7, PHALANX_BROKEN])) call wrong('the codes of the members')
  call check(phalanx_last_broken(broken), 'last broken')
  if (broken%cause /= PHALANX_CAUSE_FAILED .or. broken%rank /= 1) call wrong('who has failed')
  print '(2a)', 'dot: ', phalanx_error_text()
  call check(phalanx_team_free(team), 'free')
  if (phalanx_team_free(team) /= PHALANX_STALE) call wrong('freed twice')
  print '(2a)', 'dot: freed twice: ', phalanx_status_text(PHALANX_STALE)
  if (phalanx_live_handles() /= 0) call wrong('handles are left')

contains

  subroutine run(s)
    type(system), target, intent(inout) :: s
    integer :: k
    s%x = 0
    s%r = 0
    s%p = 0
    s%q = 0
    s%b = 0
    do k = 1, n
      s%b(k) = 1 + mod(k, 7)
    end do
    call check(phalanx_team_run(team, c_funloc(solve), c_loc(s), codes), 'run')
    if (any(codes /= 0)) call wrong('a member has failed')
  end subroutine

  pure function bits(x)
    real(c_double), intent(in) :: x(:)
    integer(c_int64_t) :: bits(size(x))
    bits = transfer(x, bits)
  end function

  subroutine check(status, what)
    integer(c_int), intent(in) :: status
    character(*), intent(in) :: what
    if (status == PHALANX_OK) return
    print '(4a)', 'dot: ', what, ': ', phalanx_error_text()
    error stop 1
  end subroutine

  subroutine wrong(what)
    character(*), intent(in) :: what
    print '(2a)', 'dot: WRONG: ', what
    error stop 1
  end subroutine
end program
