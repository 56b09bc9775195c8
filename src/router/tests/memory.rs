// SPDX-License-Identifier: MIT
//! The budget of memory of whole routers (row Z3): used while bytes move, and given back to the last byte.

use std::time::Duration;

use super::{echo_works, network};
use crate::base::{Budget, Part};

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..200 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what}");
}

#[tokio::test]
async fn z3_a_router_gives_everything_back_in_the_end() {
    let routers = network(4).await;
    echo_works(&routers, 1).await;
    let budgets: Vec<Budget> = routers.iter().map(|r| r.inner.budget.clone()).collect();
    let told = routers[0].counters();
    let of = |name: &str| told.iter().find(|c| (c.0, c.1) == ("memory", name)).expect("a counter").2;
    assert_eq!(of("max"), 256 << 20);
    let lost = told.iter().find(|c| (c.0, c.1) == ("queues", "transport_requests"));
    assert_eq!(lost.map(|c| c.2), Some(0));
    assert!(of("peak") > 200_000, "{}", of("peak"));
    assert!(of("netdb") > 0 && of("tunnels") > 0);
    for budget in &budgets {
        until("streams are left", || budget.used_by(Part::Streams) == 0).await;
        assert_eq!(budget.used_by(Part::Datagrams), 0);
    }
    for router in routers {
        router.shutdown().await;
    }
    for budget in budgets {
        until(&format!("{budget:?} {:?}", budget.snapshot()), || budget.used() == 0).await;
    }
}
