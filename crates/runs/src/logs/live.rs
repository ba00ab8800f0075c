//! A log in memory: growing, then whole.
//!
//! The newest part is plain, for those who follow it; what is older is compressed block by block as the log grows, so that
//! nothing is left to compress when the phase ends and a long log costs little memory. The blocks are members of one gzip
//! file, which is what [`LiveLog::compressed`] returns and the store keeps.

use flate2::{Compression, bufread::GzDecoder, write::GzEncoder};
use std::{
    io::{self, Read, Write},
    sync::Mutex,
};
use tokio::sync::{Notify, watch};

/// Bytes of a block before compression. One read of an older part decompresses one or two.
const BLOCK: usize = 256 << 10;
const STX: u8 = 0x02;
const ETX: u8 = 0x03;

/// A log while it grows, and for a while after.
#[derive(Debug, Default)]
pub struct LiveLog {
    content: Mutex<Content>,
    pub(super) grown: Notify,
    read: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Content {
    /// From the beginning on, without gaps.
    blocks: Vec<Block>,
    /// Where `newest` begins.
    start: usize,
    newest: Vec<u8>,
    finished: bool,
}

#[derive(Debug)]
struct Block {
    start: usize,
    end: usize,
    gzip: Vec<u8>,
}

const LOCK: &str = "no holder of this lock panics";
const MEMORY: &str = "memory takes every write";

impl LiveLog {
    /// A complete log as the store keeps it.
    ///
    /// # Errors
    /// When it is not gzip.
    pub fn stored(gzip: &[u8]) -> io::Result<Self> {
        let mut content = Content { finished: true, ..Content::default() };
        let mut rest = gzip;
        while !rest.is_empty() {
            let mut member = GzDecoder::new(rest);
            let length = io::copy(&mut member, &mut io::sink())?;
            let after = member.into_inner();
            let (start, gzip) = (content.start, rest[..rest.len() - after.len()].to_vec());
            content.start += usize::try_from(length).map_err(io::Error::other)?;
            content.blocks.push(Block { start, end: content.start, gzip });
            rest = after;
        }
        Ok(Self { content: Mutex::new(content), ..Self::default() })
    }

    /// Adds output. Past `limit` bytes the rest is dropped, and the log says so.
    pub fn append(&self, chunk: &[u8], limit: usize) {
        let mut content = self.content.lock().expect(LOCK);
        if content.length() >= limit {
            return;
        }
        content.newest.extend_from_slice(chunk);
        if content.length() >= limit {
            let last = format!("\n[The log ends here: it reached its limit of {limit} bytes.]\n");
            content.newest.extend_from_slice(last.as_bytes());
        }
        // What the last block's worth holds stays plain: there the readers are.
        while content.newest.len() >= 2 * BLOCK {
            content.compress(BLOCK);
        }
        drop(content);
        self.grown.notify_waiters();
    }

    /// Empties the log: a resumed job sends all of it again. Readers keep their offsets, and the text is the same.
    pub fn restart(&self) {
        *self.content.lock().expect(LOCK) = Content::default();
    }

    /// Everything so far, without marks, as one gzip file.
    pub fn compressed(&self) -> Vec<u8> {
        let mut content = self.content.lock().expect(LOCK);
        let rest = content.newest.len();
        if rest > 0 {
            content.compress(rest);
        }
        content.blocks.iter().flat_map(|block| &block.gzip).copied().collect()
    }

    /// Bytes of memory that the content takes.
    pub fn size(&self) -> usize {
        let content = self.content.lock().expect(LOCK);
        content.newest.len() + content.blocks.iter().map(|block| block.gzip.len()).sum::<usize>()
    }

    /// Makes ETX readable.
    pub fn finish(&self) {
        self.content.lock().expect(LOCK).finished = true;
        self.grown.notify_waiters();
    }

    /// Resolves once somebody has read from it.
    pub async fn opened(&self) {
        // The sender lives as long as this, so waiting cannot fail.
        let _ = self.read.subscribe().wait_for(|read| *read).await;
    }

    /// Bytes from `offset` on, at most `limit`, of STX + content (+ ETX); whether the log is complete. Of an older part it
    /// may be fewer than there are.
    pub fn read(&self, offset: usize, limit: usize) -> (Vec<u8>, bool) {
        self.read.send_if_modified(|read| !std::mem::replace(read, true));
        let content = self.content.lock().expect(LOCK);
        (content.framed(offset, limit), content.finished)
    }
}

impl Content {
    fn length(&self) -> usize {
        self.start + self.newest.len()
    }

    /// Turns the first `length` bytes of the newest part into a block.
    fn compress(&mut self, length: usize) {
        let mut encoder = GzEncoder::new(Vec::with_capacity(length / 8), Compression::fast());
        let gzip = encoder.write_all(&self.newest[..length]).and_then(|()| encoder.finish()).expect(MEMORY);
        self.blocks.push(Block { start: self.start, end: self.start + length, gzip });
        self.start += length;
        self.newest.drain(..length);
    }

    fn framed(&self, offset: usize, limit: usize) -> Vec<u8> {
        let mut part = Vec::new();
        if limit == 0 {
            return part;
        }
        if offset == 0 {
            part.push(STX);
        }
        self.copy(offset.max(1) - 1, limit - part.len(), &mut part);
        let etx = self.length() + 1;
        if self.finished && part.len() < limit && offset + part.len() == etx {
            part.push(ETX);
        }
        part
    }

    /// Adds at most `limit` bytes from `from` on: of the blocks as many as are begun in them, or of the newest part.
    fn copy(&self, mut from: usize, limit: usize, part: &mut Vec<u8>) {
        let end = from.saturating_add(limit).min(self.length());
        let first = self.blocks.partition_point(|block| block.end <= from);
        for block in &self.blocks[first..] {
            if from >= end {
                return;
            }
            let to = end.min(block.end);
            let mut plain = Vec::with_capacity(block.end - block.start);
            GzDecoder::new(&block.gzip[..])
                .read_to_end(&mut plain)
                .expect("it was compressed here or read before");
            part.extend_from_slice(&plain[from - block.start..to - block.start]);
            from = to;
        }
        if from < end {
            part.extend_from_slice(&self.newest[from - self.start..end - self.start]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn log(content: &[u8], finished: bool) -> LiveLog {
        let log = LiveLog::default();
        log.append(content, usize::MAX);
        if finished {
            log.finish();
        }
        log
    }

    #[test]
    fn a_log_is_framed_and_its_offsets_count_the_marks() {
        let framed = |content: &[u8], finished, offset, limit| log(content, finished).read(offset, limit).0;
        assert_eq!(framed(b"", false, 0, 100), [STX]);
        assert_eq!(framed(b"", true, 0, 100), [STX, ETX]);
        assert_eq!(framed(b"abc", true, 0, 100), [&[STX][..], b"abc", &[ETX]].concat());
        assert_eq!(framed(b"abc", false, 1, 2), b"ab");
        assert_eq!(framed(b"abc", true, 3, 100), [b'c', ETX]);
        assert_eq!(framed(b"abc", true, 4, 100), [ETX]);
        assert!(framed(b"abc", true, 5, 100).is_empty());
        assert!(framed(b"abc", true, 500, 100).is_empty());
        assert!(framed(b"abc", true, 0, 0).is_empty());
    }

    #[test]
    fn a_log_past_its_limit_says_that_it_ends_there() {
        let log = LiveLog::default();
        log.append(b"0123456789", 8);
        log.append(b"more", 8);
        let text = String::from_utf8(log.read(0, usize::MAX).0).unwrap();
        assert!(text.contains("limit of 8 bytes"), "{text}");
        assert!(!text.contains("more"));
    }

    #[test]
    fn a_long_log_takes_little_memory() {
        let log = LiveLog::default();
        let line = b"terraform_data.talk (local-exec): the same again and again\n";
        for _ in 0..100_000 {
            log.append(line, usize::MAX);
        }
        assert!(log.size() < 1 << 20, "{} bytes", log.size());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn reading_in_pieces_of_any_size_gives_the_whole_while_it_grows_and_from_the_store(
            chunks in prop::collection::vec((any::<u8>(), 0..300_000_usize), 0..8),
            size in 1_000..400_000_usize,
        ) {
            let live = LiveLog::default();
            let mut whole = vec![STX];
            let mut followed = Vec::new();
            for (byte, length) in chunks {
                let chunk: Vec<u8> = (0..length).map(|n| byte.wrapping_add((n / 7) as u8)).collect();
                live.append(&chunk, usize::MAX);
                whole.extend_from_slice(&chunk);
                followed.extend(live.read(followed.len(), size).0);
            }
            whole.push(ETX);
            let stored = LiveLog::stored(&live.compressed()).unwrap();
            live.finish();
            for (log, mut read) in [(&live, followed), (&live, vec![]), (&stored, vec![])] {
                loop {
                    let part = log.read(read.len(), size).0;
                    if part.is_empty() {
                        break;
                    }
                    prop_assert!(part.len() <= size);
                    read.extend(part);
                }
                prop_assert!(read == whole);
            }
        }
    }
}
