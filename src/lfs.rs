//! What Git LFS leaves in the place of a file that it has not fetched: a few lines of text.

/// How these begin.
const BEGINNING: &[u8] = b"version https://git-lfs.github.com/spec/";
/// As many bytes tell them from anything else that lies here.
const ENOUGH: usize = 8;

/// Whether a file that begins with `head` is such a pointer; of less than 8 bytes that is not said.
pub(crate) fn is_pointer(head: &[u8]) -> bool {
    head.len() >= ENOUGH && (head.starts_with(BEGINNING) || BEGINNING.starts_with(head))
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
