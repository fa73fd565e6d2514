//! Documents of one stream on their way in: on disk, however long the stream is and however it stalls.

use std::fs::File;
use std::io::{BufReader, Read, Seek, Write};
use std::path::Path;

use hsu::BoxError;
use prost::Message;

use super::proto::Document;

/// Bytes that wait in memory for the next write.
const BATCH: usize = 1 << 20;

/// Takes documents one by one and gives them back in the same order, once all are there. Its file has no
/// name: nothing is left of it when the process dies.
pub struct Spool {
    file: File,
    waiting: Vec<u8>,
}

impl Spool {
    /// Beside the index: what is spooled is about to be written there, and temporary folders may be memory.
    pub fn beside(index: &Path) -> Result<Self, BoxError> {
        let folder = index.parent().unwrap_or(Path::new("/"));
        Ok(Self { file: tempfile::tempfile_in(folder)?, waiting: Vec::new() })
    }

    pub fn add(&mut self, document: &Document) {
        let size = u32::try_from(document.encoded_len()).unwrap_or(u32::MAX);
        self.waiting.extend(size.to_be_bytes());
        self.waiting.extend(document.encode_to_vec());
    }

    pub fn is_full(&self) -> bool {
        self.waiting.len() >= BATCH
    }

    pub fn flushed(mut self) -> Result<Self, BoxError> {
        self.file.write_all(&self.waiting)?;
        self.waiting.clear();
        Ok(self)
    }

    pub fn documents(self) -> Result<impl Iterator<Item = Result<Document, BoxError>>, BoxError> {
        let mut file = self.flushed()?.file;
        let mut left = file.stream_position()?;
        file.rewind()?;
        let mut file = BufReader::new(file);
        Ok(std::iter::from_fn(move || {
            (left > 0).then(|| {
                let mut size = [0; 4];
                file.read_exact(&mut size)?;
                let mut bytes = vec![0; u32::from_be_bytes(size) as usize];
                file.read_exact(&mut bytes)?;
                left -= (size.len() + bytes.len()) as u64;
                Ok(Document::decode(bytes.as_slice())?)
            })
        }))
    }
}
