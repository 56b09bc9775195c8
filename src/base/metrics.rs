// SPDX-License-Identifier: MIT
//! Counters: fields of a room's struct, one instance per router, never a global.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows, or (for gauges) is set.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }
    /// Sets the value: for gauges.
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }
    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Declares a struct of documented [`Counter`]s with a `snapshot` of names and values.
#[macro_export]
macro_rules! metrics {
    ($(#[$m:meta])* $v:vis struct $name:ident { $($(#[$f:meta])* $field:ident: Counter,)* }) => {
        $(#[$m])*
        #[derive(Debug, Default)]
        $v struct $name { $($(#[$f])* $v $field: $crate::base::Counter,)* }

        impl $name {
            /// Names and values in the order of declaration.
            $v fn snapshot(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($field), self.$field.get()),)*]
            }
        }
    };
}
