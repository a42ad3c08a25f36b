//! Temporary files in the cache: arrays of numbers that do not fit in memory, and copies of remote files. They are
//! removed when they are dropped.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::Store;
use super::file::{TempFile, create_folder};

/// Bytes that are converted at a time.
const PIECE: usize = 1 << 18;

/// An array of f32 on disk. If the process is killed, the file remains and `gc` removes it.
pub struct Scratch(Mutex<TempFile>);

impl Store {
    /// An empty array, in a file in the cache, because the cache is on a disk with room for large files.
    pub fn scratch(&self) -> io::Result<Scratch> {
        let folder = self.root.join("scratch");
        create_folder(&folder)?;
        Ok(Scratch(Mutex::new(TempFile::create(&folder)?)))
    }

    /// Copies a stream to a temporary file in the cache.
    pub fn copy_to_temp(&self, stream: &mut dyn Read) -> io::Result<TempCopy> {
        let folder = self.root.join("scratch");
        create_folder(&folder)?;
        let mut temp = TempFile::create(&folder)?;
        io::copy(stream, &mut temp.file)?;
        Ok(TempCopy(Arc::new(temp)))
    }
}

/// A temporary file that is removed when its last clone is dropped.
#[derive(Clone, Debug)]
pub struct TempCopy(Arc<TempFile>);

impl TempCopy {
    /// The path of the file.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Scratch {
    /// Writes numbers from index `start` on. Gaps that were never written read as 0.
    pub fn write(&self, start: usize, numbers: &[f32]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(PIECE.min(4 * numbers.len()));
        let mut temp = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        temp.file.seek(SeekFrom::Start(4 * start as u64))?;
        for piece in numbers.chunks(PIECE / 4) {
            bytes.clear();
            bytes.extend(piece.iter().flat_map(|x| x.to_le_bytes()));
            temp.file.write_all(&bytes)?;
        }
        Ok(())
    }

    /// Reads numbers from index `start` on.
    ///
    /// # Errors
    /// Any I/O error; also when the array is shorter.
    pub fn read(&self, start: usize, numbers: &mut [f32]) -> io::Result<()> {
        let mut bytes = vec![0; PIECE.min(4 * numbers.len())];
        let mut temp = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        temp.file.seek(SeekFrom::Start(4 * start as u64))?;
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
        assert!(scratch.read(100_000, &mut read).is_err(), "the array has 200,000 numbers");
        let folder = dir.path().join("scratch");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
        drop(scratch);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    }
}
