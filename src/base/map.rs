// SPDX-License-Identifier: MIT
//! Hash maps whose hasher is keyed from the router's generator: peers cannot aim at buckets, worlds stay repeatable.

use super::Rng;
use siphasher::sip::SipHasher13;
#[allow(clippy::disallowed_types, reason = "this module is the replacement")]
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::BuildHasher;

/// Key of a map's hasher.
#[derive(Clone, Copy)]
pub struct KeyedState(u64, u64);

impl KeyedState {
    /// Draws a key.
    pub fn new(rng: &mut Rng) -> Self {
        Self(rng.u64(), rng.u64())
    }
}

impl BuildHasher for KeyedState {
    type Hasher = SipHasher13;
    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

impl fmt::Debug for KeyedState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyedState(..)")
    }
}

/// A hash map with a keyed hasher. Make one with [`map`].
#[allow(clippy::disallowed_types, reason = "this module is the replacement")]
pub type Map<K, V> = HashMap<K, V, KeyedState>;
/// A hash set with a keyed hasher. Make one with [`set`].
#[allow(clippy::disallowed_types, reason = "this module is the replacement")]
pub type Set<K> = HashSet<K, KeyedState>;

/// An empty map.
pub fn map<K, V>(rng: &mut Rng) -> Map<K, V> {
    Map::with_hasher(KeyedState::new(rng))
}

/// An empty set.
pub fn set<K>(rng: &mut Rng) -> Set<K> {
    Set::with_hasher(KeyedState::new(rng))
}
