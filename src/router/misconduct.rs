// SPDX-License-Identifier: MIT
//! Links of a simulated router that loses messages of others' tunnels on purpose.

use std::sync::{Arc, Mutex, PoisonError};

use super::links::Link;
use crate::base::{Misdeeds, Now, Rng};
use crate::tunnel::Class;
use crate::tunnel::task::PeerLink;
use crate::wire::I2np;

/// What control knows of the router's misdeeds.
#[derive(Clone)]
pub(crate) struct Misconduct {
    misdeeds: Arc<Misdeeds>,
    rng: Arc<Mutex<Rng>>,
}

impl Misconduct {
    pub(crate) fn new(misdeeds: Arc<Misdeeds>, rng: Rng) -> Self {
        Self { misdeeds, rng: Arc::new(Mutex::new(rng)) }
    }

    /// Takes the messages away that shall be lost.
    pub(crate) fn thin(&self, messages: &mut Vec<I2np>, transit: bool) {
        let share = self.misdeeds.transit_permille();
        if transit && share > 0 {
            let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
            messages.retain(|_| rng.below(1000) >= u64::from(share));
        }
    }

    /// A link that loses what shall be lost.
    pub(crate) fn link(&self, link: Link) -> ThinLink {
        ThinLink { link, misconduct: self.clone() }
    }
}

/// See the module.
pub(crate) struct ThinLink {
    link: Link,
    misconduct: Misconduct,
}

impl PeerLink for ThinLink {
    fn push(&self, now: Now, mut messages: Vec<I2np>, class: Class) -> usize {
        self.misconduct.thin(&mut messages, class == Class::Transit);
        if messages.is_empty() { 0 } else { self.link.push(now, messages, class) }
    }
}
