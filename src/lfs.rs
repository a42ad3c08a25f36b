//! Recognises a Git LFS pointer: a short text file that stands in for a file which Git LFS has not downloaded.

/// The start of every pointer file, as the specification of Git LFS fixes it.
const POINTER_PREFIX: &[u8] = b"version https://git-lfs.github.com/spec/";
/// The shortest prefix that no picture or weights file starts with.
const MIN_PREFIX_LEN: usize = 8;

/// Whether `head`, the first bytes of a file, is the start of a pointer. `head` may be shorter than the prefix, but
/// with fewer than 8 bytes the answer is `false`.
pub(crate) fn is_pointer(head: &[u8]) -> bool {
    head.len() >= MIN_PREFIX_LEN && (head.starts_with(POINTER_PREFIX) || POINTER_PREFIX.starts_with(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_told_by_their_beginning() {
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:57b0\nsize 553\n";
        assert!(is_pointer(pointer) && is_pointer(&pointer[..64]) && is_pointer(&pointer[..8]));
        let others: [&[u8]; 5] = [b"", b"version", b"version 3 of this text", b"<html>404</html>", &[0xFF; 64]];
        assert!(others.iter().all(|other| !is_pointer(other)));
    }
}
