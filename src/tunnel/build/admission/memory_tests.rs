// SPDX-License-Identifier: MIT
//! Transit and the router's budget of memory (row Z3).
use super::*;
use crate::base::Part;

#[test]
fn z3_no_transit_from_four_fifths_on_and_no_look_at_requests_from_95_percent_on() {
    let budget = Budget::new(1_000_000);
    let mut rng = Rng::from_seed(1);
    let limits = AdmissionLimits { budget: budget.clone(), ..AdmissionLimits::test_network() };
    let mut admission = Admission::new(limits, &mut rng);
    let now = Mono::from_secs(1);
    let mut at = |used: usize| {
        let _held = budget.charge(Part::Streams, used);
        let looked_at = admission.request(now, None, 0);
        let accepted = admission.accept(now, &mut rng, [None, None], 0);
        (looked_at, accepted, admission.level(0))
    };
    assert_eq!(at(799_999), (Ok(()), true, 0));
    assert_eq!(at(800_000), (Ok(()), false, 100), "answered with code 30");
    assert_eq!(at(949_999), (Ok(()), false, 100));
    assert_eq!(at(950_000), (Err(Throttled::Memory), false, 100));
    assert_eq!(at(0), (Ok(()), true, 0));
}
