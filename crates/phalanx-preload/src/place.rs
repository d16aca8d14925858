//! Where in the program a barrier was made, as far as the program's own symbols tell.

use std::ffi::CStr;
use std::fmt::Write;

/// Such as `jacobi+0x12e1 (main+0x11)`: what `addr2line -e jacobi 0x12e1` takes, and the function if it is exported.
pub(crate) fn describe(address: usize) -> String {
    // SAFETY: zero is valid for an integer and null pointers.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // A call's return address may be the first byte of the next function.
    let inside = address.wrapping_sub(1);
    // SAFETY: any address may be asked for; the pointer is good for the call.
    let found = unsafe { libc::dladdr(inside as *const libc::c_void, &mut info) } != 0;
    if !found || info.dli_fname.is_null() {
        return format!("{address:#x}");
    }
    // SAFETY: the linker's strings, and the library whose code has just called is loaded.
    let file = unsafe { CStr::from_ptr(info.dli_fname) }.to_string_lossy();
    let file = file.rsplit('/').next().unwrap_or_default();
    let base = info.dli_fbase as usize;
    // SAFETY: an ELF file is mapped from its header on, whose bytes 16 and 17 are the kind.
    let fixed = unsafe { (base as *const u8).add(16).cast::<u16>().read_unaligned() } == ET_EXEC;
    let offset = if fixed { address } else { address.wrapping_sub(base) };
    let mut text = format!("{file}+{offset:#x}");
    if !info.dli_sname.is_null() {
        // SAFETY: as above.
        let function = unsafe { CStr::from_ptr(info.dli_sname) }.to_string_lossy();
        let _ = write!(text, " ({function}+{:#x})", address.wrapping_sub(info.dli_saddr as usize));
    }
    text
}

/// A program at fixed addresses, which is where `addr2line` expects them.
const ET_EXEC: u16 = 2;
