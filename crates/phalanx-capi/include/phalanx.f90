! phalanx for Fortran: the module `phalanx` over libphalanx, by iso_c_binding. Compile this file with the program, link with -lphalanx.
!
! Handles are type(c_ptr); what they are is checked by the library, so one that was freed, or is of another kind, is answered by a code.
! Every function returns a code; 0 is success (PHALANX_OK). phalanx_error_text() says what was wrong with the last call that failed.
! phalanx.h documents each function; what it takes as NULL is c_null_ptr or c_null_funptr here.
module phalanx
  use, intrinsic :: iso_c_binding
  implicit none
  private

  integer(c_int), parameter, public :: PHALANX_OK = 0, PHALANX_BROKEN = 1, PHALANX_PENDING = 2, PHALANX_NULL = 3, &
    PHALANX_INVALID = 4, PHALANX_STALE = 5, PHALANX_BUSY = 6, PHALANX_NO_SUCH_RANK = 7, PHALANX_TAKEN = 8, PHALANX_LEFT = 9, &
    PHALANX_ENDED = 10, PHALANX_FULL = 11, PHALANX_DESERTED = 12, PHALANX_REENTERED = 13, PHALANX_OUT_OF_ORDER = 14, &
    PHALANX_FAILED = 15, PHALANX_NO_THREAD = 16, PHALANX_NO_CPU = 17, PHALANX_NOT_BROKEN = 18, PHALANX_NO_ROOM = 19, &
    PHALANX_PANICKED = 20
  integer(c_int), parameter, public :: PHALANX_CAUSE_OTHER = 0, PHALANX_CAUSE_TIMED_OUT = 1, PHALANX_CAUSE_ABORTED = 2, &
    PHALANX_CAUSE_DROPPED = 3, PHALANX_CAUSE_FAILED = 4, PHALANX_CAUSE_MISMATCHED = 5, PHALANX_CAUSE_RESET = 6, &
    PHALANX_CAUSE_REENTERED = 7, PHALANX_CAUSE_CANCELLED = 8, PHALANX_CAUSE_PANICKED = 9
  integer(c_int), parameter, public :: PHALANX_SUM = 0, PHALANX_MIN = 1, PHALANX_MAX = 2

  type, bind(c), public :: phalanx_trip
    integer(c_int64_t) :: generation = 0
    integer(c_int) :: leader = 0
  end type

  type, bind(c), public :: phalanx_shared_trip
    integer(c_size_t) :: index = 0
    integer(c_int) :: leader = 0
  end type

  type, bind(c), public :: phalanx_broken_record
    integer(c_int) :: cause = 0
    integer(c_int64_t) :: rank = -1
    integer(c_int64_t) :: generation = 0
    integer(c_size_t) :: parties = 0
    integer(c_size_t) :: arrived = 0
  end type

  type, bind(c), public :: phalanx_barrier_options
    type(c_ptr) :: name = c_null_ptr
    integer(c_int64_t) :: timeout_ns = 0
    integer(c_int64_t) :: spin_ns = 0
    integer(c_int) :: algorithm = 0
    integer(c_int) :: wait_policy = 0
    type(c_funptr) :: action = c_null_funptr
    type(c_ptr) :: user = c_null_ptr
    integer(c_int) :: split_phase = 0
    integer(c_int64_t) :: reserved(4) = 0
  end type

  type, bind(c), public :: phalanx_team_options
    type(c_ptr) :: name = c_null_ptr
    integer(c_int64_t) :: timeout_ns = 0
    integer(c_int64_t) :: spin_ns = 0
    integer(c_size_t) :: stack_size = 0
    type(c_ptr) :: bind = c_null_ptr
    integer(c_int) :: wait_policy = 0
    integer(c_int) :: caller_stays_out = 0
    integer(c_int64_t) :: reserved(4) = 0
  end type

  public :: phalanx_now_ns, phalanx_live_handles, phalanx_last_broken
  public :: phalanx_barrier_create, phalanx_barrier_free, phalanx_barrier_claim, phalanx_barrier_join, &
    phalanx_barrier_abort, phalanx_barrier_reset, phalanx_barrier_parties, phalanx_barrier_generation, &
    phalanx_barrier_missing, phalanx_barrier_is_broken
  public :: phalanx_party_wait, phalanx_party_wait_timeout, phalanx_party_wait_deadline, phalanx_party_rank, &
    phalanx_party_all_reduce_double, phalanx_party_all_reduce_int64, phalanx_party_generation, phalanx_party_arrive, &
    phalanx_party_arrival_wait, phalanx_party_leave, phalanx_party_free
  public :: phalanx_shared_create, phalanx_shared_free, phalanx_shared_wait, phalanx_shared_wait_timeout, phalanx_shared_abort, &
    phalanx_shared_reset
  public :: phalanx_team_create, phalanx_team_free, phalanx_team_size, phalanx_team_abort, phalanx_team_run
  public :: phalanx_member_rank, phalanx_member_size, phalanx_member_chunk, phalanx_member_wait, phalanx_member_wait_timeout, &
    phalanx_member_all_reduce_double, phalanx_member_all_reduce_int64
  public :: phalanx_error_text, phalanx_status_text

  interface
    function phalanx_now_ns() bind(c)
      import :: c_int64_t
      integer(c_int64_t) :: phalanx_now_ns
    end function
    function phalanx_live_handles() bind(c)
      import :: c_size_t
      integer(c_size_t) :: phalanx_live_handles
    end function
    function phalanx_last_broken(broken) bind(c) result(status)
      import :: c_int, phalanx_broken_record
      type(phalanx_broken_record), intent(inout) :: broken
      integer(c_int) :: status
    end function
    function c_last_error(buffer, size) bind(c, name='phalanx_last_error') result(length)
      import :: c_char, c_size_t
      character(kind=c_char), intent(inout) :: buffer(*)
      integer(c_size_t), value :: size
      integer(c_size_t) :: length
    end function
    function c_strerror(status) bind(c, name='phalanx_strerror') result(text)
      import :: c_int, c_ptr
      integer(c_int), value :: status
      type(c_ptr) :: text
    end function
    function c_strlen(text) bind(c, name='strlen') result(length)
      import :: c_ptr, c_size_t
      type(c_ptr), value :: text
      integer(c_size_t) :: length
    end function

    ! `options` is absent for all defaults.
    function phalanx_barrier_create(parties, options, barrier) bind(c) result(status)
      import :: c_int, c_size_t, c_ptr, phalanx_barrier_options
      integer(c_size_t), value :: parties
      type(phalanx_barrier_options), intent(in), optional :: options
      type(c_ptr), intent(out) :: barrier
      integer(c_int) :: status
    end function
    function phalanx_barrier_free(barrier) bind(c) result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: barrier
      integer(c_int) :: status
    end function
    function phalanx_barrier_claim(barrier, rank, party) bind(c) result(status)
      import :: c_int, c_size_t, c_ptr
      type(c_ptr), value :: barrier
      integer(c_size_t), value :: rank
      type(c_ptr), intent(out) :: party
      integer(c_int) :: status
    end function
    function phalanx_barrier_join(barrier, party) bind(c) result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: barrier
      type(c_ptr), intent(out) :: party
      integer(c_int) :: status
    end function
    ! `reason` ends with c_null_char.
    function phalanx_barrier_abort(barrier, reason) bind(c) result(status)
      import :: c_int, c_ptr, c_char
      type(c_ptr), value :: barrier
      character(kind=c_char), intent(in) :: reason(*)
      integer(c_int) :: status
    end function
    function phalanx_barrier_reset(barrier, generation) bind(c) result(status)
      import :: c_int, c_ptr, c_int64_t
      type(c_ptr), value :: barrier
      integer(c_int64_t), intent(inout), optional :: generation
      integer(c_int) :: status
    end function
    function phalanx_barrier_parties(barrier, parties) bind(c) result(status)
      import :: c_int, c_ptr, c_size_t
      type(c_ptr), value :: barrier
      integer(c_size_t), intent(inout) :: parties
      integer(c_int) :: status
    end function
    function phalanx_barrier_generation(barrier, generation) bind(c) result(status)
      import :: c_int, c_ptr, c_int64_t
      type(c_ptr), value :: barrier
      integer(c_int64_t), intent(inout) :: generation
      integer(c_int) :: status
    end function
    function phalanx_barrier_missing(barrier, ranks, capacity, count) bind(c) result(status)
      import :: c_int, c_ptr, c_size_t
      type(c_ptr), value :: barrier
      integer(c_size_t), intent(inout) :: ranks(*)
      integer(c_size_t), value :: capacity
      integer(c_size_t), intent(inout) :: count
      integer(c_int) :: status
    end function
    function phalanx_barrier_is_broken(barrier, is_broken) bind(c) result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: barrier
      integer(c_int), intent(inout) :: is_broken
      integer(c_int) :: status
    end function

    function phalanx_party_wait(party, trip) bind(c) result(status)
      import :: c_int, c_ptr, phalanx_trip
      type(c_ptr), value :: party
      type(phalanx_trip), intent(inout), optional :: trip
      integer(c_int) :: status
    end function
    function phalanx_party_wait_timeout(party, timeout_ns, trip) bind(c) result(status)
      import :: c_int, c_ptr, c_int64_t, phalanx_trip
      type(c_ptr), value :: party
      integer(c_int64_t), value :: timeout_ns
      type(phalanx_trip), intent(inout), optional :: trip
      integer(c_int) :: status
    end function
    function phalanx_party_wait_deadline(party, deadline_ns, trip) bind(c) result(status)
      import :: c_int, c_ptr, c_int64_t, phalanx_trip
      type(c_ptr), value :: party
      integer(c_int64_t), value :: deadline_ns
      type(phalanx_trip), intent(inout), optional :: trip
      integer(c_int) :: status
    end function
    function phalanx_party_all_reduce_double(party, op, val, res) bind(c) result(status)
      import :: c_int, c_ptr, c_double
      type(c_ptr), value :: party
      integer(c_int), value :: op
      real(c_double), value :: val
      real(c_double), intent(inout) :: res
      integer(c_int) :: status
    end function
    function phalanx_party_all_reduce_int64(party, op, val, res) bind(c) result(status)
      import :: c_int, c_ptr, c_int64_t
      type(c_ptr), value :: party
      integer(c_int), value :: op
      integer(c_int64_t), value :: val
      integer(c_int64_t), intent(inout) :: res
      integer(c_int) :: status
    end function
    function phalanx_party_rank(party, rank) bind(c) result(status)
      import :: c_int, c_ptr, c_size_t
      type(c_ptr), value :: party
      integer(c_size_t), intent(inout) :: rank
      integer(c_int) :: status
    end function
    function phalanx_party_generation(party, generation) bind(c) result(status)
      import :: c_int, c_ptr, c_int64_t
      type(c_ptr), value :: party
      integer(c_int64_t), intent(inout) :: generation
      integer(c_int) :: status
    end function
    function phalanx_party_arrive(party) bind(c) result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: party
      integer(c_int) :: status
    end function
    function phalanx_party_arrival_wait(party, trip) bind(c) result(status)
      import :: c_int, c_ptr, phalanx_trip
      type(c_ptr), value :: party
      type(phalanx_trip), intent(inout), optional :: trip
      integer(c_int) :: status
    end function
    function phalanx_party_leave(party) bind(c) result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: party
      integer(c_int) :: status
    end function
    function phalanx_party_free(party) bind(c) result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: party
      integer(c_int) :: status
    end function

    ! `options` is c_null_ptr for all defaults.
    function phalanx_shared_create(parties, options, barrier) bind(c) result(status)
      import :: c_int, c_size_t, c_ptr
      integer(c_size_t), value :: parties
      type(c_ptr), value :: options
      type(c_ptr), intent(out) :: barrier
      integer(c_int) :: status
    end function
    function phalanx_shared_free(barrier) bind(c) result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: barrier
      integer(c_int) :: status
    end function
    function phalanx_shared_wait(barrier, trip) bind(c) result(status)
      import :: c_int, c_ptr, phalanx_shared_trip
      type(c_ptr), value :: barrier
      type(phalanx_shared_trip), intent(inout), optional :: trip
      integer(c_int) :: status
    end function
    function phalanx_shared_wait_timeout(barrier, timeout_ns, trip) bind(c) result(status)
      import :: c_int, c_ptr, c_int64_t, phalanx_shared_trip
      type(c_ptr), value :: barrier
      integer(c_int64_t), value :: timeout_ns
      type(phalanx_shared_trip), intent(inout), optional :: trip
      integer(c_int) :: status
    end function
    function phalanx_shared_abort(barrier, reason) bind(c) result(status)
      import :: c_int, c_ptr, c_char
      type(c_ptr), value :: barrier
      character(kind=c_char), intent(in) :: reason(*)
      integer(c_int) :: status
    end function
    function phalanx_shared_reset(barrier) bind(c) result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: barrier
      integer(c_int) :: status
    end function

    function phalanx_team_create(members, options, team) bind(c) result(status)
      import :: c_int, c_size_t, c_ptr, phalanx_team_options
      integer(c_size_t), value :: members
      type(phalanx_team_options), intent(in), optional :: options
      type(c_ptr), intent(out) :: team
      integer(c_int) :: status
    end function
    function phalanx_team_free(team) bind(c) result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: team
      integer(c_int) :: status
    end function
    function phalanx_team_size(team, size) bind(c) result(status)
      import :: c_int, c_ptr, c_size_t
      type(c_ptr), value :: team
      integer(c_size_t), intent(inout) :: size
      integer(c_int) :: status
    end function
    function phalanx_team_abort(team, reason) bind(c) result(status)
      import :: c_int, c_ptr, c_char
      type(c_ptr), value :: team
      character(kind=c_char), intent(in) :: reason(*)
      integer(c_int) :: status
    end function
    ! `body` is c_funloc of a function(user, member) bind(c) with both type(c_ptr), value, and a result of integer(c_int);
    ! it is called on several threads at once, so it has to be recursive or without saved variables. `results` has a place for each member.
    function phalanx_team_run(team, body, user, results) bind(c) result(status)
      import :: c_int, c_ptr, c_funptr
      type(c_ptr), value :: team
      type(c_funptr), value :: body
      type(c_ptr), value :: user
      integer(c_int), intent(inout), optional :: results(*)
      integer(c_int) :: status
    end function

    function phalanx_member_rank(member, rank) bind(c) result(status)
      import :: c_int, c_ptr, c_size_t
      type(c_ptr), value :: member
      integer(c_size_t), intent(inout) :: rank
      integer(c_int) :: status
    end function
    function phalanx_member_size(member, size) bind(c) result(status)
      import :: c_int, c_ptr, c_size_t
      type(c_ptr), value :: member
      integer(c_size_t), intent(inout) :: size
      integer(c_int) :: status
    end function
    ! From `begin`, counted from 0, to below `finish`: as a Fortran loop, begin + 1 to finish.
    function phalanx_member_chunk(member, count, begin, finish) bind(c) result(status)
      import :: c_int, c_ptr, c_size_t
      type(c_ptr), value :: member
      integer(c_size_t), value :: count
      integer(c_size_t), intent(inout) :: begin, finish
      integer(c_int) :: status
    end function
    function phalanx_member_wait(member, trip) bind(c) result(status)
      import :: c_int, c_ptr, phalanx_trip
      type(c_ptr), value :: member
      type(phalanx_trip), intent(inout), optional :: trip
      integer(c_int) :: status
    end function
    function phalanx_member_wait_timeout(member, timeout_ns, trip) bind(c) result(status)
      import :: c_int, c_ptr, c_int64_t, phalanx_trip
      type(c_ptr), value :: member
      integer(c_int64_t), value :: timeout_ns
      type(phalanx_trip), intent(inout), optional :: trip
      integer(c_int) :: status
    end function
    function phalanx_member_all_reduce_double(member, op, val, res) bind(c) result(status)
      import :: c_int, c_ptr, c_double
      type(c_ptr), value :: member
      integer(c_int), value :: op
      real(c_double), value :: val
      real(c_double), intent(inout) :: res
      integer(c_int) :: status
    end function
    function phalanx_member_all_reduce_int64(member, op, val, res) bind(c) result(status)
      import :: c_int, c_ptr, c_int64_t
      type(c_ptr), value :: member
      integer(c_int), value :: op
      integer(c_int64_t), value :: val
      integer(c_int64_t), intent(inout) :: res
      integer(c_int) :: status
    end function
  end interface

contains

  ! What was wrong with the last call of this thread that failed.
  function phalanx_error_text() result(text)
    character(:), allocatable :: text
    character(kind=c_char) :: buffer(1024)
    integer(c_size_t) :: length
    integer :: i
    length = min(c_last_error(buffer, size(buffer, kind=c_size_t)), size(buffer, kind=c_size_t) - 1)
    allocate (character(int(length)) :: text)
    do i = 1, int(length)
      text(i:i) = buffer(i)
    end do
  end function

  ! A sentence for a code.
  function phalanx_status_text(status) result(text)
    integer(c_int), intent(in) :: status
    character(:), allocatable :: text
    character(kind=c_char), pointer :: chars(:)
    type(c_ptr) :: raw
    integer :: i
    raw = c_strerror(status)
    call c_f_pointer(raw, chars, [c_strlen(raw)])
    allocate (character(size(chars)) :: text)
    do i = 1, size(chars)
      text(i:i) = chars(i)
    end do
  end function
end module
