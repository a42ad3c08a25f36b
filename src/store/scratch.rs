//! Numbers that do not fit in memory, and what was fetched from far away, in a file that is gone when it is dropped.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::Store;
use super::file::{TempFile, create_folder};

/// Bytes converted at a time.
const PIECE: usize = 1 << 18;

/// An array of f32 on disk. A killed process leaves its file, and `gc` takes it away.
pub struct Scratch(Mutex<TempFile>);

impl Store {
    /// An empty array in the store's folder: what fits into the cache fits there.
    pub fn scratch(&self) -> io::Result<Scratch> {
        let folder = self.root.join("scratch");
        create_folder(&folder)?;
        Ok(Scratch(Mutex::new(TempFile::create(&folder)?)))
    }

    /// All bytes of a stream, in a file of the store's folder.
    pub fn set_aside(&self, stream: &mut dyn Read) -> io::Result<Aside> {
        let folder = self.root.join("scratch");
        create_folder(&folder)?;
        let mut temp = TempFile::create(&folder)?;
        io::copy(stream, &mut temp.file)?;
        Ok(Aside(Arc::new(temp)))
    }
}

/// A file on disk that goes with the last that knows it.
#[derive(Clone, Debug)]
pub struct Aside(Arc<TempFile>);

impl Aside {
    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Scratch {
    /// Writes numbers from place `at` on; what was never written reads as 0 up to the last that was.
    pub fn write(&self, at: usize, numbers: &[f32]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(PIECE.min(4 * numbers.len()));
        let mut temp = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        temp.file.seek(SeekFrom::Start(4 * at as u64))?;
        for piece in numbers.chunks(PIECE / 4) {
            bytes.clear();
            bytes.extend(piece.iter().flat_map(|x| x.to_le_bytes()));
            temp.file.write_all(&bytes)?;
        }
        Ok(())
    }

    /// Reads numbers from place `at` on.
    ///
    /// # Errors
    /// Whatever the disk says, also when there are not so many.
    pub fn read(&self, at: usize, numbers: &mut [f32]) -> io::Result<()> {
        let mut bytes = vec![0; PIECE.min(4 * numbers.len())];
        let mut temp = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        temp.file.seek(SeekFrom::Start(4 * at as u64))?;
        for piece in numbers.chunks_mut(PIECE / 4) {
            let bytes = &mut bytes[..4 * piece.len()];
            temp.file.read_exact(bytes)?;
            for (number, bytes) in piece.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *number = f32::from_le_bytes(*bytes);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_the_file_goes() {
        let dir = tempfile::tempdir().unwrap();
        let scratch = Store::new(dir.path()).scratch().unwrap();
        let numbers: Vec<f32> = (0..200_000).map(|i| i as f32).collect();
        scratch.write(100_000, &numbers[100_000..]).unwrap();
        scratch.write(0, &numbers[..100_000]).unwrap();
        let mut read = vec![0.0; 150_000];
        scratch.read(25_000, &mut read).unwrap();
        assert_eq!(read, numbers[25_000..175_000]);
        assert!(scratch.read(100_000, &mut read).is_err(), "not so many");
        let folder = dir.path().join("scratch");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
        drop(scratch);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    }
}
