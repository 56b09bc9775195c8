// SPDX-License-Identifier: MIT
//! Does the time that an operation takes tell something of its secret? After dudect (Reparaz, Balasch, Verbauwhede).
//!
//! Each operation runs many times on inputs of two classes in random order: one fixed secret, or a fresh one each
//! time. Welch's t says how surely the two sets of times differ. Below 10 nothing is seen; a leak grows with the
//! number of samples. Times are noisy and machines differ, so this is a program of its own (`make ct`), no unit test.
#![allow(clippy::disallowed_methods, reason = "it measures time")]
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs, reason = "a program for people")]

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use samovar::base::Rng;
use samovar::crypto::aead::Cipher;
use samovar::crypto::{Secret32, SigningKey, X25519Public, X25519Secret, elligator2};

/// More than this is a leak.
const LIMIT: f64 = 10.0;

/// Times of the two classes in nanoseconds.
type Times = [Vec<f64>; 2];

/// Measures `samples` runs of `run`, on what `make` gives for the class: 0 fixed, 1 fresh.
fn measure<T>(
    samples: usize,
    rng: &mut Rng,
    mut make: impl FnMut(&mut Rng, usize) -> T,
    mut run: impl FnMut(&mut T),
) -> Times {
    let mut times = [Vec::with_capacity(samples), Vec::with_capacity(samples)];
    for _ in 0..samples {
        let class = usize::from(rng.u32() & 1 == 1);
        let mut input = make(rng, class);
        let start = Instant::now();
        run(black_box(&mut input));
        times[class].push(start.elapsed().as_nanos() as f64);
    }
    times
}

/// Mean and variance of those that took at most `most`.
fn moments(times: &[f64], most: f64) -> (f64, f64, f64) {
    let kept = || times.iter().copied().filter(|time| *time <= most);
    let count = kept().count().max(2) as f64;
    let mean = kept().sum::<f64>() / count;
    (mean, kept().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0), count)
}

fn welch([a, b]: &Times, most: f64) -> f64 {
    let ((mean_a, var_a, n_a), (mean_b, var_b, n_b)) = (moments(a, most), moments(b, most));
    (mean_a - mean_b) / (var_a / n_a + var_b / n_b).sqrt().max(f64::MIN_POSITIVE)
}

/// The largest t of all, of the faster 95 % and of the faster half: interruptions make long tails.
fn worst(times: &Times) -> f64 {
    let mut all: Vec<f64> = times.iter().flatten().copied().collect();
    all.sort_by(f64::total_cmp);
    let cuts = [50, 95, 100].map(|percent| all[(all.len() * percent / 100).max(1) - 1]);
    cuts.iter().map(|most| welch(times, *most)).max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap()
}

/// A message whose tag is wrong in its first byte (fixed) or in a random one.
fn tag(rng: &mut Rng, samples: usize) -> Times {
    let cipher = Cipher::new(&[7; 32]);
    let mut sealed = vec![9u8; 64];
    cipher.seal_in_place(1, b"", &mut sealed);
    let make = |rng: &mut Rng, class| {
        let mut bad = sealed.clone();
        let place = 64 + if class == 0 { 0 } else { rng.index(16) };
        bad[place] ^= 1;
        bad
    };
    measure(samples, rng, make, |bad| assert!(cipher.open_slice(1, b"", bad).is_err()))
}

/// Passwords and their digests are compared as keys are: 64 comparisons with a key that differs in its first byte
/// (fixed) or in a random one.
fn comparison(rng: &mut Rng, samples: usize) -> Times {
    let key = Secret32::new([5; 32]);
    let make = |rng: &mut Rng, class| {
        let mut other = key.duplicate();
        other[if class == 0 { 0 } else { rng.index(32) }] ^= 1;
        other
    };
    measure(samples, rng, make, |other| (0..64).for_each(|_| _ = black_box(black_box(&*other) == &key)))
}

fn exchange(rng: &mut Rng, samples: usize) -> Times {
    let theirs = X25519Secret::from_bytes([3; 32]).public();
    let make =
        |rng: &mut Rng, class| X25519Secret::from_bytes(if class == 0 { [1; 32] } else { rng.bytes() });
    measure(samples, rng, make, |ours| _ = black_box(ours.dh(&theirs)))
}

fn signature(rng: &mut Rng, samples: usize) -> Times {
    let make = |rng: &mut Rng, class| SigningKey::from_seed(&if class == 0 { [1; 32] } else { rng.bytes() });
    measure(samples, rng, make, |key| _ = black_box(key.sign(b"a message")))
}

/// Public keys that have a representative.
fn elligator_encode(rng: &mut Rng, samples: usize) -> Times {
    let fixed = elligator2::generate(&mut Rng::from_seed(1)).1;
    let make = |rng: &mut Rng, class| -> X25519Public {
        if class == 0 { fixed } else { elligator2::generate(rng).1 }
    };
    measure(samples, rng, make, |public| _ = black_box(elligator2::encode(public, 0)))
}

fn elligator_decode(rng: &mut Rng, samples: usize) -> Times {
    let make = |rng: &mut Rng, class| {
        let mut wire: [u8; 32] = if class == 0 { [2; 32] } else { rng.bytes() };
        // Up to (p-1)/2, as honest ones are; larger ones are refused before any arithmetic.
        wire[31] &= 0x1f;
        wire
    };
    measure(samples, rng, make, |wire| _ = black_box(elligator2::decode(wire)))
}

/// Times of so many runs, of a fixed and of fresh secrets.
type Operation = fn(&mut Rng, usize) -> Times;

fn main() -> ExitCode {
    // `cargo bench` passes flags of its own.
    let samples = std::env::var("SAMPLES").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let mut rng = Rng::from_os().unwrap();
    let operations: [(&str, Operation); 6] = [
        ("AEAD tag", tag),
        ("comparison of secrets", comparison),
        ("X25519", exchange),
        ("Ed25519 signature", signature),
        ("Elligator2 encode", elligator_encode),
        ("Elligator2 decode", elligator_decode),
    ];
    let mut leaks = 0;
    for (name, run) in operations {
        let _warm = run(&mut rng, samples / 100 + 1);
        let times = run(&mut rng, samples);
        let (t, (mean, ..)) = (worst(&times), moments(&times[0], f64::MAX));
        let verdict = if t.abs() < LIMIT { "nothing seen" } else { "LEAK" };
        leaks += usize::from(t.abs() >= LIMIT);
        println!("{name:24} {samples:9} samples  {mean:9.0} ns  t = {t:7.2}  {verdict}");
    }
    if leaks == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
