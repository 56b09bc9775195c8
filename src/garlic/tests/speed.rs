// SPDX-License-Identifier: MIT
//! Cost of one message, beside the cost of the AEAD alone. Run with
//! `cargo test --release --lib garlic::tests::speed -- --ignored --nocapture`.

use super::super::{Limits, SealOptions};
use super::world::World;
use crate::base::{Clock, Rng};
use crate::crypto::aead::Cipher;

#[test]
#[ignore = "a measurement"]
fn cost_of_sealing_and_opening_beside_the_aead() {
    const ROUNDS: u32 = 20_000;
    const BLOCK: usize = 32;
    let clock = tokio::runtime::Builder::new_current_thread().build().map(|rt| {
        let _guard = rt.enter();
        Clock::system()
    });
    let clock = clock.unwrap();
    let mut w = World::connected(60);
    let remote = w.remote(1);
    let payload = [vec![7u8; 1812 + 45]];
    let (mut sealing, mut opening) = (0, 0);
    for _ in 0..ROUNDS / BLOCK as u32 {
        let start = clock.now().mono;
        let messages: Vec<Vec<u8>> = (0..BLOCK)
            .flat_map(|_| {
                w.nodes[0].sessions.seal(w.now, &remote, &payload, SealOptions::default()).unwrap().messages
            })
            .collect();
        let middle = clock.now().mono;
        for message in messages {
            w.nodes[1].sessions.open(w.now, message).unwrap();
        }
        sealing += (middle - start).as_nanos();
        opening += (clock.now().mono - middle).as_nanos();
    }
    let cipher = Cipher::new(&[1; 32]);
    let mut buf = vec![0u8; 1940];
    let start = clock.now().mono;
    for n in 0..ROUNDS {
        cipher.seal_slice(n.into(), &[0; 8], &mut buf);
    }
    let aead = (clock.now().mono - start).as_nanos();
    let per = |total: u128| total / u128::from(ROUNDS);
    println!(
        "per full packet: seal {} ns, open {} ns, AEAD alone {} ns",
        per(sealing),
        per(opening),
        per(aead)
    );
}

#[test]
#[ignore = "a measurement"]
fn cost_of_bogus_messages_within_and_beyond_the_budget() {
    const ROUNDS: usize = 20_000;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let _guard = runtime.enter();
    let clock = Clock::system();
    let mut rng = Rng::from_seed(1);
    let mut bogus = || {
        let mut message = rng.bytes::<1_804>().to_vec();
        message[..4].copy_from_slice(&1_800u32.to_be_bytes());
        message
    };
    for (name, rate) in [("within", 1_000_000), ("beyond", 1)] {
        let limits = Limits { new_sessions_per_s: rate, new_sessions_burst: rate, ..Limits::default() };
        let mut w = World::with(61, 2, limits);
        let messages: Vec<Vec<u8>> = (0..ROUNDS).map(|_| bogus()).collect();
        let start = clock.now().mono;
        for message in messages {
            let _ = w.nodes[1].sessions.open(w.now, message);
        }
        println!("{name} the budget: {} ns", (clock.now().mono - start).as_nanos() / ROUNDS as u128);
    }
}
