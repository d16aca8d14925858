//! Results and texts, from and to C.

use crate::status::Failure;
use std::ffi::{CStr, c_char};
use std::time::Duration;

/// Checks that there is room for a result.
#[inline]
pub(crate) fn needed<T>(place: *mut T, name: &str) -> Result<(), Failure> {
    if place.is_null() { Err(Failure::null(name)) } else { Ok(()) }
}

/// Puts a result where C wants it.
///
/// # Safety
///
/// `place` points to room for a `T`, or is NULL.
#[inline]
pub(crate) unsafe fn give<T>(place: *mut T, name: &str, result: T) -> Result<(), Failure> {
    needed(place, name)?;
    // SAFETY: by this function's own contract, and it is not NULL.
    unsafe { place.write(result) };
    Ok(())
}

/// Puts a result where C wants it, if C wants it.
///
/// # Safety
///
/// `place` points to room for a `T`, or is NULL.
#[inline]
pub(crate) unsafe fn offer<T>(place: *mut T, result: T) {
    if !place.is_null() {
        // SAFETY: by this function's own contract.
        unsafe { place.write(result) };
    }
}

/// What C has to say in words; what is not UTF-8 is replaced.
///
/// # Safety
///
/// `text` points to bytes that end with a NUL, or is NULL.
pub(crate) unsafe fn text(text: *const c_char) -> Option<String> {
    // SAFETY: by this function's own contract, and it is not NULL.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

/// Copies a text into C's buffer, like `snprintf`; the whole text's length. Bytes that are NUL in the text end it for C, and so
/// are written as blanks.
///
/// # Safety
///
/// `buffer` has room for `size` bytes, or is NULL.
pub(crate) unsafe fn copy_text(text: &str, buffer: *mut c_char, size: usize) -> usize {
    if !buffer.is_null() && size > 0 {
        let mut end = text.len().min(size - 1);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        for (place, byte) in text.bytes().take(end).enumerate() {
            let byte = if byte == 0 { b' ' } else { byte };
            // SAFETY: `place` is below `size - 1`.
            unsafe { buffer.add(place).write(byte as c_char) };
        }
        // SAFETY: `end` is below `size`.
        unsafe { buffer.add(end).write(0) };
    }
    text.len()
}

/// [`copy_text`] for functions that return a status and give the length apart.
///
/// # Safety
///
/// As there; `length` points to room for a result, or is NULL.
pub(crate) unsafe fn give_text(
    text: &str,
    buffer: *mut c_char,
    size: usize,
    length: *mut usize,
) -> Result<(), Failure> {
    if size > 0 {
        needed(buffer, "buffer")?;
    }
    // SAFETY: by this function's own contract.
    unsafe { offer(length, copy_text(text, buffer, size)) };
    Ok(())
}

/// Copies as many of these as there is room for; how many there are.
///
/// # Safety
///
/// `places` has room for `capacity` values, or is NULL; `count` points to room for a result, or is NULL.
pub(crate) unsafe fn give_all(
    values: &[usize],
    places: *mut usize,
    capacity: usize,
    count: *mut usize,
) -> Result<(), Failure> {
    if capacity > 0 {
        needed(places, "ranks")?;
    }
    for (place, value) in values.iter().take(capacity).enumerate() {
        // SAFETY: `place` is below `capacity`.
        unsafe { places.add(place).write(*value) };
    }
    // SAFETY: by this function's own contract.
    unsafe { offer(count, values.len()) };
    Ok(())
}

/// A span of time that 0 stands for none of.
pub(crate) fn span(nanoseconds: u64) -> Option<Duration> {
    (nanoseconds > 0).then(|| endless(nanoseconds))
}

/// A span of time; the longest is none that ends.
pub(crate) fn endless(nanoseconds: u64) -> Duration {
    if nanoseconds == u64::MAX { Duration::MAX } else { Duration::from_nanos(nanoseconds) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(words: &str, size: usize) -> (Vec<u8>, usize) {
        let mut buffer = [7; 16];
        // SAFETY: the buffer has at least that room.
        let length = unsafe { copy_text(words, buffer.as_mut_ptr(), size) };
        (buffer.iter().map(|&byte| byte as u8).take_while(|&byte| byte != 7).collect(), length)
    }

    #[test]
    fn texts_are_cut_between_characters_and_always_end() {
        assert_eq!(copied("rank", 16), (b"rank\0".to_vec(), 4));
        assert_eq!(copied("rank", 5), (b"rank\0".to_vec(), 4));
        assert_eq!(copied("rank", 4), (b"ran\0".to_vec(), 4));
        assert_eq!(copied("20 µs", 5), (b"20 \0".to_vec(), 6));
        assert_eq!(copied("a\0b", 8), (b"a b\0".to_vec(), 3));
        assert_eq!(copied("rank", 1), (b"\0".to_vec(), 4));
        assert_eq!(copied("rank", 0), (Vec::new(), 4));
        // SAFETY: nothing is written to NULL.
        assert_eq!(unsafe { copy_text("rank", std::ptr::null_mut(), 9) }, 4);
    }
}
