//! From uploaded bytes to the tar stream: gzip, and the limits on bytes and ratio.
//!
//! The tar reader turns every failure below it into an error of its own, so a limit that was reached or a source that
//! failed is noted in a [`Meter`], and [`Meter::explain`] gives it precedence.

use crate::{Illegal, Limits};
use flate2::bufread::GzDecoder;
use std::{
    cell::{Cell, RefCell},
    io::{self, BufRead, BufReader, Read},
    rc::Rc,
};

/// Expanded bytes that are allowed whatever the ratio.
const FREE: u64 = 1 << 20;

/// What went through, and why it stopped.
pub(crate) struct Meter {
    limits: Limits,
    compressed: Cell<u64>,
    expanded: Cell<u64>,
    stop: RefCell<Option<Illegal>>,
}

impl Meter {
    pub(crate) fn new(limits: &Limits) -> Rc<Self> {
        Rc::new(Self {
            limits: *limits,
            compressed: Cell::new(0),
            expanded: Cell::new(0),
            stop: RefCell::new(None),
        })
    }

    /// Bytes of the tar stream so far.
    pub(crate) fn expanded(&self) -> u64 {
        self.expanded.get()
    }

    /// The cause noted here, else what `otherwise` makes of the error.
    pub(crate) fn explain(&self, error: &io::Error, otherwise: impl FnOnce(String) -> Illegal) -> Illegal {
        let reason = match error.kind() {
            io::ErrorKind::UnexpectedEof => "unexpected EOF: the archive is cut".to_owned(),
            _ => error.to_string(),
        };
        self.stop.take().unwrap_or_else(|| otherwise(reason))
    }

    fn stop(&self, why: Illegal) -> io::Error {
        let error = io::Error::other(why.to_string());
        self.stop.replace(Some(why));
        error
    }

    fn count_compressed(&self, bytes: usize) -> io::Result<()> {
        self.compressed.set(self.compressed.get() + bytes as u64);
        if self.compressed.get() > self.limits.compressed_bytes {
            let limit = self.limits.compressed_bytes;
            return Err(self.stop(Illegal::Limit(format!("the archive is larger than {limit} bytes"))));
        }
        Ok(())
    }

    fn count_expanded(&self, bytes: usize) -> io::Result<()> {
        let Limits { expanded_bytes, ratio, .. } = self.limits;
        self.expanded.set(self.expanded.get() + bytes as u64);
        if self.expanded.get() > expanded_bytes {
            let text = format!("the archive expands to more than {expanded_bytes} bytes");
            return Err(self.stop(Illegal::Limit(text)));
        }
        if self.expanded.get() > self.compressed.get().saturating_mul(ratio).saturating_add(FREE) {
            let text = format!("the archive expands to more than {ratio} times its size");
            return Err(self.stop(Illegal::Limit(text)));
        }
        Ok(())
    }
}

/// Counts what comes from the caller's reader.
pub(crate) struct Metered<R> {
    inner: R,
    meter: Rc<Meter>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(out) {
            Ok(count) => self.meter.count_compressed(count).map(|()| count),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Err(e),
            Err(e) => Err(self.meter.stop(Illegal::Source(e))),
        }
    }
}

/// The decompressed stream. Several gzip members count as one stream, as they do everywhere; what follows the last
/// member and is not gzip is ignored, as `gzip` does.
pub(crate) struct Gunzip<R> {
    state: State<BufReader<Metered<R>>>,
    meter: Rc<Meter>,
}

enum State<B> {
    Member(Box<GzDecoder<B>>),
    Ended(B),
    /// Only while one state is replaced by another.
    Moving,
}

impl<R: Read> Gunzip<R> {
    /// Looks for gzip's signature, so that anything else is told from a damaged archive.
    pub(crate) fn new(source: R, meter: Rc<Meter>) -> Result<Self, Illegal> {
        let mut source = BufReader::with_capacity(64 * 1024, Metered { inner: source, meter: meter.clone() });
        match starts_member(&mut source) {
            Ok(true) => {}
            Ok(false) => {
                let empty = source.buffer().is_empty();
                let reason = if empty { "it is empty" } else { "gzip: invalid header" };
                return Err(Illegal::Decompress(reason.to_owned()));
            }
            Err(e) => return Err(meter.explain(&e, Illegal::Decompress)),
        }
        Ok(Self { state: State::Member(Box::new(GzDecoder::new(source))), meter })
    }

    /// Reads what follows the tar archive: the rest of the stream, whose checksum stands last, and the rest of the
    /// source, so that whoever copies the bytes aside has seen them all.
    pub(crate) fn drain(mut self) -> Result<(), Illegal> {
        let meter = self.meter.clone();
        let failed = |e: io::Error| meter.explain(&e, Illegal::Untar);
        io::copy(&mut self, &mut io::sink()).map_err(failed)?;
        if let State::Ended(mut source) = std::mem::replace(&mut self.state, State::Moving) {
            io::copy(&mut source, &mut io::sink()).map_err(failed)?;
        }
        Ok(())
    }
}

impl<R: Read> Read for Gunzip<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        while let State::Member(member) = &mut self.state {
            let count = member.read(out)?;
            if count > 0 {
                self.meter.count_expanded(count)?;
                return Ok(count);
            }
            if let State::Member(member) = std::mem::replace(&mut self.state, State::Moving) {
                let mut source = member.into_inner();
                self.state = match starts_member(&mut source)? {
                    true => State::Member(Box::new(GzDecoder::new(source))),
                    false => State::Ended(source),
                };
            }
        }
        Ok(0)
    }
}

/// Whether gzip's two first bytes come next. A lone first byte at the buffer's end counts: the decoder will judge.
fn starts_member(source: &mut impl BufRead) -> io::Result<bool> {
    let next = loop {
        match source.fill_buf() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => break other?,
        }
    };
    Ok(matches!(next, [0x1f, 0x8b, ..] | [0x1f]))
}
