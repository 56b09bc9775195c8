// SPDX-License-Identifier: MIT
//! Cost of one message, beside the cost of the AEAD alone. Run with
//! `cargo test --release --lib garlic::tests::speed -- --ignored --nocapture`.

use super::super::SealOptions;
use super::world::World;
use crate::base::Clock;
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
