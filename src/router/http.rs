// SPDX-License-Identifier: MIT
//! The answering half of HTTP/1.1, for one GET: head, then a body of stated length, in chunks, or until the close.
//!
//! Bytes in, response out, no I/O. The head is limited to 16 KiB, the body to what the caller allows. Reseed hosts and
//! subscriptions answer this way.

const HEAD_MAX: usize = 16 << 10;
const LINE_MAX: usize = 256;
const TRAILERS_MAX: usize = 32;

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
    /// `Content-Encoding`, in lower case.
    pub(crate) encoding: Option<String>,
    pub(crate) body: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Head,
    Length(usize),
    UntilClose,
    ChunkSize,
    Chunk(usize),
    ChunkEnd,
    Trailer(usize),
    Done,
}

/// Takes a response in, piece by piece.
pub(crate) struct Receiver {
    pending: Vec<u8>,
    response: Response,
    step: Step,
    body_max: usize,
}

impl Receiver {
    pub(crate) const fn new(body_max: usize) -> Self {
        let response = Response {
            status: 0,
            location: None,
            etag: None,
            last_modified: None,
            encoding: None,
            body: Vec::new(),
        };
        Self { pending: Vec::new(), response, step: Step::Head, body_max }
    }

    /// Takes bytes in; true when the response is complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<bool, &'static str> {
        self.pending.extend_from_slice(bytes);
        while self.advance()? {}
        Ok(self.step == Step::Done)
    }

    /// The response, when it is complete or the server has closed the connection where that ends the body.
    pub(crate) fn finish(self) -> Result<Response, &'static str> {
        match self.step {
            Step::Done | Step::UntilClose => Ok(self.response),
            Step::Head => Err("closed before an answer"),
            _ => Err("closed in the middle of the answer"),
        }
    }

    /// One step; false when it needs more bytes or is done.
    fn advance(&mut self) -> Result<bool, &'static str> {
        match self.step {
            Step::Done => return Ok(false),
            Step::Head => {
                let Some(head) = self.take_until(b"\r\n\r\n", HEAD_MAX, "head too long")? else {
                    return Ok(false);
                };
                self.step = self.read_head(&head)?;
            }
            Step::Length(left) => match self.take_body(left)? {
                0 => return Ok(false),
                taken if taken == left => self.step = Step::Done,
                taken => self.step = Step::Length(left - taken),
            },
            Step::UntilClose => return Ok(self.take_body(usize::MAX)? > 0),
            Step::ChunkSize => {
                let Some(line) = self.take_until(b"\r\n", LINE_MAX, "chunk line too long")? else {
                    return Ok(false);
                };
                let size = chunk_size(&line).ok_or("unreadable chunk size")?;
                self.step = if size == 0 { Step::Trailer(TRAILERS_MAX) } else { Step::Chunk(size) };
            }
            Step::Chunk(left) => match self.take_body(left)? {
                0 => return Ok(false),
                taken if taken == left => self.step = Step::ChunkEnd,
                taken => self.step = Step::Chunk(left - taken),
            },
            Step::ChunkEnd => {
                let Some(line) = self.take_until(b"\r\n", 2, "chunk without end")? else { return Ok(false) };
                if !line.is_empty() {
                    return Err("chunk without end");
                }
                self.step = Step::ChunkSize;
            }
            Step::Trailer(left) => {
                let Some(line) = self.take_until(b"\r\n", HEAD_MAX, "trailer too long")? else {
                    return Ok(false);
                };
                let left = left.checked_sub(1).ok_or("too many trailers")?;
                self.step = if line.is_empty() { Step::Done } else { Step::Trailer(left) };
            }
        }
        Ok(true)
    }

    /// The bytes before `mark`, which is dropped.
    fn take_until(
        &mut self,
        mark: &[u8],
        max: usize,
        long: &'static str,
    ) -> Result<Option<Vec<u8>>, &'static str> {
        let Some(at) = self.pending.windows(mark.len()).position(|w| w == mark) else {
            // Up to here the mark may still begin within the limit.
            return if self.pending.len() >= max + mark.len() { Err(long) } else { Ok(None) };
        };
        if at > max {
            return Err(long);
        }
        let mut taken: Vec<u8> = self.pending.drain(..at + mark.len()).collect();
        taken.truncate(at);
        Ok(Some(taken))
    }

    fn take_body(&mut self, left: usize) -> Result<usize, &'static str> {
        let n = left.min(self.pending.len());
        if self.response.body.len() + n > self.body_max {
            return Err("larger than 8 MiB");
        }
        self.response.body.extend(self.pending.drain(..n));
        Ok(n)
    }

    fn read_head(&mut self, head: &[u8]) -> Result<Step, &'static str> {
        let head = std::str::from_utf8(head).map_err(|_| "unreadable head")?;
        let mut lines = head.split("\r\n");
        self.response.status = status(lines.next().unwrap_or_default()).ok_or("not an HTTP answer")?;
        let mut length: Option<usize> = None;
        let mut chunked = false;
        for (name, value) in lines.filter_map(|l| l.split_once(':')) {
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                let stated = value.parse().map_err(|_| "unreadable length")?;
                if length.is_some_and(|l| l != stated) {
                    return Err("two different lengths");
                }
                length = Some(stated);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                chunked = value.eq_ignore_ascii_case("chunked");
                if !chunked {
                    return Err("an unknown transfer encoding");
                }
            } else if name.eq_ignore_ascii_case("location") {
                self.response.location = Some(value.to_owned());
            } else if name.eq_ignore_ascii_case("etag") {
                self.response.etag = Some(value.to_owned());
            } else if name.eq_ignore_ascii_case("last-modified") {
                self.response.last_modified = Some(value.to_owned());
            } else if name.eq_ignore_ascii_case("content-encoding") {
                self.response.encoding = Some(value.to_ascii_lowercase());
            }
        }
        match (self.response.status, chunked, length) {
            (100..=199, ..) => Ok(Step::Head),
            (204 | 304, ..) | (_, false, Some(0)) => Ok(Step::Done),
            (_, true, _) => Ok(Step::ChunkSize),
            (_, false, Some(n)) if n > self.body_max => Err("larger than 8 MiB"),
            (_, false, Some(n)) => Ok(Step::Length(n)),
            (_, false, None) => Ok(Step::UntilClose),
        }
    }
}

fn status(line: &str) -> Option<u16> {
    let rest = line.strip_prefix("HTTP/1.1 ").or_else(|| line.strip_prefix("HTTP/1.0 "))?;
    let code = rest.split(' ').next()?;
    code.parse().ok().filter(|c| code.len() == 3 && (100..600).contains(c))
}

fn chunk_size(line: &[u8]) -> Option<usize> {
    let line = std::str::from_utf8(line).ok()?;
    let digits = line.split(';').next()?.trim();
    let plain = !digits.is_empty() && digits.len() <= 8 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    plain.then(|| usize::from_str_radix(digits, 16).ok()).flatten()
}
