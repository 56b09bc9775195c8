// SPDX-License-Identifier: MIT
//! Ratchets forget: a key that was used is gone at once, and all of them with their session.

use super::super::Limits;
use super::super::chain::Chains;
use super::super::window::{Lookahead, SetId, TagMap, Window};
use crate::base::{Mono, Rng};
use crate::crypto::tests::heap::{Search, in_child};
use crate::crypto::{Secret32, sha256};

const ROOT: &[u8] = b"a root";

fn chains() -> Chains {
    Chains::new(&sha256(&[ROOT]), &sha256(&[b"k", ROOT]))
}

/// The key of one message.
fn key(index: u32) -> Secret32 {
    let mut keys = chains().keys;
    (0..index).for_each(|_| drop(keys.advance()));
    keys.advance()
}

#[test]
fn used_message_keys_are_gone_and_skipped_ones_stay() {
    if in_child("garlic::tests::wiped::used_message_keys_are_gone_and_skipped_ones_stay") {
        return;
    }
    let (mut used, mut skipped, mut roots) = (Search::new(), Search::new(), Search::new());
    (0..40).for_each(|index| used.add("used", &*key(index)));
    (40..60).for_each(|index| skipped.add("skipped", &*key(index)));
    roots.add("root", &sha256(&[ROOT]));
    roots.add("k", &sha256(&[b"k", ROOT]));
    roots.add("next root", &*chains().next_root);

    let mut map = TagMap::new(&mut Rng::from_seed(1));
    let (mut window, next_root) =
        Window::new(SetId(1), Mono(0), chains(), Lookahead::later(&Limits::default()), &mut map);
    for index in 0..40 {
        assert_eq!(window.key(index), Some(key(index.into())));
        window.accept(Mono(0), index, &mut map);
    }
    let _ = window.key(60);
    window.accept(Mono(0), 60, &mut map);
    used.expect_nothing("while the session goes on");
    skipped.expect_all("until their messages come");
    let found = roots.found();
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), ["next root"], "where it began is forgotten");
    window.close(&mut map);
    drop(next_root);
    used.expect_nothing("after the end");
    skipped.expect_nothing("after the end");
    roots.expect_nothing("after the end");
}
