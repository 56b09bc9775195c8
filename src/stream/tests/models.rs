// SPDX-License-Identifier: MIT
//! The two halves of a stream against models that are too simple to be wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use crate::base::Mono;
use crate::stream::Bounds;
use crate::stream::congestion::Control;
use crate::stream::recv::{Insert, RecvBuffer};
use crate::stream::send::{SendBuffer, SentKind};

const AHEAD_MAX: u32 = Bounds::USUAL.ahead;
const BYTES_MAX: usize = Bounds::USUAL.unread;

/// All that a receiver has to know: what came ahead of its turn, and what is in order.
#[derive(Default)]
struct Receiver {
    next: u32,
    ahead: BTreeMap<u32, (Vec<u8>, bool)>,
    ready: Vec<u8>,
    closed: bool,
}

impl Receiver {
    fn insert(&mut self, number: u32, payload: &[u8], close: bool) -> Insert {
        if self.closed || number < self.next || self.ahead.contains_key(&number) {
            return Insert::Duplicate;
        }
        if number - self.next >= AHEAD_MAX {
            return Insert::Refused;
        }
        let held: usize = self.ahead.values().map(|(p, _)| p.len()).sum();
        if number > self.next {
            if held + payload.len() > BYTES_MAX {
                return Insert::Refused;
            }
            self.ahead.insert(number, (payload.to_vec(), close));
            return Insert::OutOfOrder;
        }
        if self.ready.len() + payload.len() > BYTES_MAX {
            return Insert::Refused;
        }
        let before = self.ready.len();
        self.ahead.insert(number, (payload.to_vec(), close));
        while let Some((payload, close)) = self.ahead.remove(&self.next).filter(|_| !self.closed) {
            self.next += 1;
            self.ready.extend(payload);
            self.closed |= close;
        }
        if self.closed {
            self.ahead.clear();
        }
        Insert::InOrder(self.ready.len() - before)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_receive_buffer_does_what_the_model_does(
        steps in prop::collection::vec((0u32..40, 0usize..300, 0u8..100), 1..200),
    ) {
        let (mut buffer, mut model) = (RecvBuffer::new(BYTES_MAX, AHEAD_MAX), Receiver::default());
        for (ahead, len, kind) in steps {
            if kind < 20 {
                let read = buffer.read(len + 1).unwrap_or_default();
                prop_assert!(read.len() <= len + 1);
                let expected: Vec<u8> = model.ready.drain(..read.len()).collect();
                prop_assert_eq!(&read[..], &expected[..]);
            } else {
                // Sometimes so large that the bounds are reached.
                let len = if kind > 90 { len * 2000 } else { len };
                let number = if kind == 21 { model.next + ahead * 20 } else { (model.next + ahead).saturating_sub(3) };
                let payload = vec![number as u8; len];
                let close = kind == 40 && ahead > 30;
                prop_assert_eq!(buffer.insert(number, &payload, close), model.insert(number, &payload, close));
            }
            prop_assert_eq!((buffer.readable(), buffer.next()), (model.ready.len(), model.next));
            prop_assert_eq!(buffer.is_closed(), model.closed);
            let highest = model.ahead.keys().max().copied();
            let (through, missing) = buffer.gaps();
            let top = highest.unwrap_or(model.next.saturating_sub(1));
            let holes: Vec<u32> = (model.next..top).filter(|n| !model.ahead.contains_key(n)).collect();
            // More cannot be named.
            if holes.len() <= 255 {
                prop_assert_eq!(through, top);
                prop_assert_eq!(missing, holes);
            }
        }
    }

    #[test]
    fn a_send_buffer_does_what_the_model_does(
        steps in prop::collection::vec((0u8..100, 0u32..40, prop::collection::vec(0u32..40, 0..4)), 1..200),
    ) {
        let (mut buffer, mut now) = (SendBuffer::new(256 * 1024), Mono::from_secs(1));
        let stamp = Control::new(512).on_send(now, 0);
        // Numbers that were sent and not acknowledged, those of them that fly, and how many bytes each has.
        let (mut waiting, mut flying) = (BTreeMap::new(), BTreeSet::new());
        for (kind, n, missing) in steps {
            now = now + Duration::from_millis(u64::from(n));
            match kind {
                0..=39 => {
                    let written = buffer.write(now, Bytes::from(vec![1; n as usize + 1]));
                    prop_assert_eq!(written, n as usize + 1);
                    let payload = buffer.cut(now, 50);
                    let (len, number) = (payload.len(), buffer.push(SentKind::Data, payload));
                    prop_assert!(!buffer.transmit(now, number, stamp));
                    waiting.insert(number, len);
                    flying.insert(number);
                }
                40..=69 => {
                    let through = (buffer.next() + 2).saturating_sub(n);
                    let missing: Vec<u32> = missing.iter().map(|m| through.saturating_sub(*m)).collect();
                    let acked = buffer.on_ack(now, through, &missing, None);
                    let taken: Vec<u32> = waiting.keys().copied()
                        .filter(|s| through < buffer.next() && *s <= through && !missing.contains(s)).collect();
                    let bytes: usize = taken.iter().filter_map(|s| waiting.remove(s)).sum();
                    flying.retain(|s| waiting.contains_key(s));
                    prop_assert_eq!((acked.facts.acked as usize, acked.bytes), (taken.len(), bytes));
                }
                70..=79 => {
                    buffer.detect_losses(now, Duration::from_millis(50));
                    while let Some(number) = buffer.next_lost() {
                        prop_assert!(waiting.contains_key(&number));
                        prop_assert!(buffer.transmit(now, number, stamp));
                        flying.insert(number);
                    }
                }
                80..=84 => {
                    buffer.lose_all();
                    flying.clear();
                }
                _ => {
                    if let Some(number) = buffer.next_lost() {
                        prop_assert!(buffer.transmit(now, number, stamp));
                        flying.insert(number);
                    }
                }
            }
            prop_assert_eq!(buffer.in_flight() as usize, flying.len());
            prop_assert_eq!(buffer.all_acked(), waiting.is_empty());
            let span = waiting.keys().next().map_or(0, |first| buffer.next() - first);
            prop_assert_eq!(buffer.span(), span);
        }
    }
}
