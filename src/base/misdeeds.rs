// SPDX-License-Identifier: MIT
//! What a router of a simulated network does against the rules, to be changed while it runs. Honest by default.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// What becomes of the tunnel builds of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Builds {
    /// They are judged as always.
    #[default]
    Serve,
    /// They are lost without an answer.
    Ignore,
}

/// What becomes of the database lookups of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Answers {
    /// They are answered as always.
    #[default]
    Serve,
    /// They are not answered.
    Ignore,
    /// "I do not have it", with three routers named that do not exist.
    Deny,
}

/// What becomes of what others store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Stores {
    /// It is kept as always.
    #[default]
    Serve,
    /// It is neither kept nor confirmed.
    Ignore,
    /// It is confirmed and forgotten.
    Forget,
}

/// The misdeeds of one router.
#[derive(Debug, Default)]
pub struct Misdeeds {
    lose_transit: AtomicU32,
    builds: AtomicU8,
    answers: AtomicU8,
    stores: AtomicU8,
}

impl Misdeeds {
    /// Loses so many of a thousand messages of others' tunnels.
    pub fn lose_transit(&self, permille: u32) {
        self.lose_transit.store(permille.min(1000), Ordering::Relaxed);
    }

    /// Does so with builds from now on.
    pub fn builds(&self, builds: Builds) {
        self.builds.store(builds as u8, Ordering::Relaxed);
    }

    /// Does so with lookups from now on.
    pub fn answers(&self, answers: Answers) {
        self.answers.store(answers as u8, Ordering::Relaxed);
    }

    /// Does so with stores from now on.
    pub fn stores(&self, stores: Stores) {
        self.stores.store(stores as u8, Ordering::Relaxed);
    }

    /// Is honest again.
    pub fn repent(&self) {
        self.lose_transit(0);
        self.builds(Builds::Serve);
        self.answers(Answers::Serve);
        self.stores(Stores::Serve);
    }

    pub(crate) fn transit_permille(&self) -> u32 {
        self.lose_transit.load(Ordering::Relaxed)
    }

    pub(crate) fn ignores_builds(&self) -> bool {
        self.builds.load(Ordering::Relaxed) == Builds::Ignore as u8
    }

    pub(crate) fn answering(&self) -> Answers {
        match self.answers.load(Ordering::Relaxed) {
            1 => Answers::Ignore,
            2 => Answers::Deny,
            _ => Answers::Serve,
        }
    }

    pub(crate) fn storing(&self) -> Stores {
        match self.stores.load(Ordering::Relaxed) {
            1 => Stores::Ignore,
            2 => Stores::Forget,
            _ => Stores::Serve,
        }
    }
}
