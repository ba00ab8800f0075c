//! The encrypted form of an object, written and read in segments so that neither side holds the whole.
//!
//! ```text
//! object  = version (1 byte, = 1)  salt (32 random bytes)  segment*  last-segment
//! segment = AES-256-GCM(64 KiB of plaintext) + 16 bytes of tag      the last one may be shorter, even empty
//! nonce   = 7 zero bytes, segment number (4 bytes, big-endian), 1 if last else 0
//! key     = HKDF-SHA256(salt, data key, object id);  associated data = object id
//! ```
//!
//! This is the STREAM construction with a key of its own for each object (random nonce prefixes under a shared key
//! would meet after 2²⁸ objects). The number in the nonce refuses segments that were moved, the flag an object that was
//! cut or lengthened at a segment's bound, the id an object put in another's place. Greatest size: 256 TiB.

use crate::keys::DataKey;
use kernel::Env;
use ring::aead::{Aad, LessSafeKey, MAX_TAG_LEN, NONCE_LEN, Nonce};
use std::io::{self, Read};

/// Plaintext bytes of every segment but the last.
pub(crate) const SEGMENT: usize = 64 * 1024;
const SEALED_SEGMENT: usize = SEGMENT + MAX_TAG_LEN;
const VERSION: u8 = 1;
const SALT_LEN: usize = 32;
const HEADER_LEN: usize = 1 + SALT_LEN;

/// Encrypts the segments of one object in order.
pub(crate) struct Sealer {
    header: [u8; HEADER_LEN],
    segments: Segments,
}

impl Sealer {
    pub(crate) fn new(id: &str, key: &DataKey, env: &Env) -> Self {
        let mut header = [VERSION; HEADER_LEN];
        header[1..].copy_from_slice(&env.random::<SALT_LEN>());
        Self { header, segments: Segments::new(key, &header[1..], id) }
    }

    /// What stands before the first segment.
    pub(crate) fn header(&self) -> &[u8] {
        &self.header
    }

    /// Replaces the plaintext in `segment` by its encrypted form.
    pub(crate) fn seal(&mut self, segment: &mut Vec<u8>, last: bool) -> io::Result<()> {
        let nonce = self.segments.nonce(last)?;
        self.segments
            .key
            .seal_in_place_append_tag(nonce, Aad::from(&self.segments.id), segment)
            .map_err(|_| io::Error::other("a segment could not be encrypted"))
    }
}

/// The key of one object and the number of its next segment.
struct Segments {
    key: LessSafeKey,
    id: Vec<u8>,
    next: u32,
}

impl Segments {
    fn new(key: &DataKey, salt: &[u8], id: &str) -> Self {
        Self { key: key.for_object(salt, id), id: id.as_bytes().to_vec(), next: 0 }
    }

    fn nonce(&mut self, last: bool) -> io::Result<Nonce> {
        let mut nonce = [0; NONCE_LEN];
        nonce[7..11].copy_from_slice(&self.next.to_be_bytes());
        nonce[11] = u8::from(last);
        self.next = self.next.checked_add(1).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(Nonce::assume_unique_for_key(nonce))
    }
}

/// Reads the plaintext of one object. A byte is given out only after its segment was authenticated; an object that was
/// altered, cut or exchanged ends in [`io::ErrorKind::InvalidData`].
pub(crate) struct Opener<R> {
    source: R,
    segments: Segments,
    /// The segment read last: plaintext in `..plain`, given out up to `given`; before that, ciphertext.
    buffer: Box<[u8]>,
    plain: usize,
    given: usize,
    /// The first byte of the following segment, read to learn whether there is one.
    ahead: Option<u8>,
    state: State,
}

#[derive(PartialEq)]
enum State {
    More,
    Ended,
    Broken,
}

impl<R: Read> Opener<R> {
    pub(crate) fn new(mut source: R, id: &str, key: &DataKey) -> io::Result<Self> {
        let mut header = [0; HEADER_LEN];
        match source.read_exact(&mut header) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(broken(id, "its header is cut"));
            }
            other => other?,
        }
        if header[0] != VERSION {
            return Err(broken(id, "this version of the program does not know its format"));
        }
        Ok(Self {
            source,
            segments: Segments::new(key, &header[1..], id),
            buffer: vec![0; SEALED_SEGMENT].into_boxed_slice(),
            plain: 0,
            given: 0,
            ahead: None,
            state: State::More,
        })
    }

    fn next_segment(&mut self) -> io::Result<()> {
        let mut filled = 0;
        if let Some(byte) = self.ahead.take() {
            self.buffer[0] = byte;
            filled = 1;
        }
        filled += read_full(&mut self.source, &mut self.buffer[filled..])?;
        let mut ahead = [0];
        if filled == SEALED_SEGMENT && read_full(&mut self.source, &mut ahead)? == 1 {
            self.ahead = Some(ahead[0]);
        }
        let last = self.ahead.is_none();
        let number = self.segments.next;
        let nonce = self.segments.nonce(last)?;
        let opened =
            self.segments.key.open_in_place(nonce, Aad::from(&self.segments.id), &mut self.buffer[..filled]);
        let Ok(plain) = opened.map(|plain| plain.len()) else {
            let id = String::from_utf8_lossy(&self.segments.id).into_owned();
            return Err(broken(
                &id,
                &format!("segment {number} was altered, cut or moved, or the key is another"),
            ));
        };
        (self.plain, self.given) = (plain, 0);
        if last {
            self.state = State::Ended;
        }
        Ok(())
    }
}

impl<R: Read> Read for Opener<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.given == self.plain {
            match self.state {
                State::Ended => return Ok(0),
                State::Broken => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "the object is damaged"));
                }
                State::More => {}
            }
            // A reader that goes on after an error must not see an end that is none.
            self.state = State::Broken;
            (self.plain, self.given) = (0, 0);
            let more = self.next_segment();
            if more.is_ok() && self.state == State::Broken {
                self.state = State::More;
            }
            more?;
        }
        let count = out.len().min(self.plain - self.given);
        out[..count].copy_from_slice(&self.buffer[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}

/// Reads until `buffer` is full or the source ends; gives the number of bytes read.
fn read_full(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

fn broken(id: &str, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the stored object {id} is damaged: {why}"))
}
