// SPDX-License-Identifier: MIT
use super::targets;
use crate::base::Rng;

#[test]
fn every_target_takes_its_seeds_and_damaged_ones() {
    for (name, run, seeds) in targets() {
        let mut rng = Rng::from_seed(1);
        run(&[]);
        let seeds = seeds();
        assert!(!seeds.is_empty(), "{name} has no seeds");
        for seed in seeds {
            run(&seed);
            let mut damaged = seed.clone();
            if !damaged.is_empty() {
                let at = rng.index(damaged.len());
                damaged[at] ^= 1 << rng.index(8);
                run(&damaged);
                damaged.truncate(at);
                run(&damaged);
            }
        }
    }
}

#[test]
fn every_target_takes_random_bytes() {
    for (name, run, _) in targets() {
        let mut rng = Rng::from_seed(name.len() as u64);
        for _ in 0..6 {
            let mut bytes = vec![0; rng.index(400)];
            rng.fill(&mut bytes);
            run(&bytes);
        }
    }
}
