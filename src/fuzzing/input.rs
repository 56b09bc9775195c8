// SPDX-License-Identifier: MIT
//! A fuzzer's bytes as a row of choices. What is read beyond the end is zero, so every input means something.

/// Choices still to be made.
#[derive(Clone, Debug)]
pub(super) struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub(super) const fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    /// The next byte.
    pub(super) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        *first
    }

    /// Yes or no.
    pub(super) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub(super) fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    pub(super) fn u32(&mut self) -> u32 {
        u32::from(self.u16()) << 16 | u32::from(self.u16())
    }

    /// A number below `bound`; takes one byte up to 256, two up to 65,536, else four.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let drawn = match bound {
            0..=0x100 => usize::from(self.byte()),
            0x101..=0x1_0000 => usize::from(self.u16()),
            _ => self.u32() as usize,
        };
        drawn % bound.max(1)
    }

    /// One of `items`.
    pub(super) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// Up to `n` bytes, as many as there are.
    pub(super) fn slice(&mut self, n: usize) -> &'a [u8] {
        let (head, rest) = self.rest.split_at(n.min(self.rest.len()));
        self.rest = rest;
        head
    }

    /// Up to `max` bytes behind their number.
    pub(super) fn chunk(&mut self, max: usize) -> &'a [u8] {
        let n = self.below(max + 1);
        self.slice(n)
    }

    /// Exactly `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        let taken = self.slice(N);
        out[..taken.len()].copy_from_slice(taken);
        out
    }

    /// Everything that is left.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Damages `bytes` in one of a few ways, none included; whether anything is different afterwards.
    pub(super) fn damage(&mut self, bytes: &mut Vec<u8>) -> bool {
        let before = bytes.clone();
        let at = self.below(bytes.len().max(1));
        match self.byte() % 6 {
            0 | 1 if !bytes.is_empty() => bytes[at] ^= 1 << (self.byte() % 8),
            2 => bytes.truncate(at),
            3 => bytes.insert(at, self.byte()),
            4 => bytes.extend_from_slice(self.chunk(64)),
            5 if !bytes.is_empty() => drop(bytes.remove(at)),
            _ => {}
        }
        *bytes != before
    }
}
