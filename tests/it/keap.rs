//! The Keap help page, from top to bottom: a test for each sentence, named after it.

use crate::support::on_both;
use crate::support::world::{certificate_of, keap_request};

on_both!(it_frees_up_the_license_and_the_billed_count_is_unchanged, |world| {
    world.start_worker().await;
    let seats = world.number("SELECT count(*) FROM licenses").await;
    let certificate = world.certificate(&keap_request("r1")).await;
    assert_eq!(certificate.license.name(), "freed");
    assert_eq!(world.number("SELECT count(*) FROM licenses").await, seats);
    assert_eq!(world.number("SELECT count(*) FROM licenses WHERE user_id = 53").await, 0);
});

on_both!(when_all_contacts_are_accounted_for_104_of_104, |world| {
    world.start_worker().await;
    let job = world.hand_over(&keap_request("r1")).await;
    let certificate = certificate_of(&job);
    let contact = certificate.references.iter().find(|reference| reference.kind == "contact").expect("contacts");
    assert_eq!((contact.found, contact.moved), (Some(104), Some(104)));
    for (user, count) in [(11, 5), (12, 50), (13, 20), (14, 29)] {
        assert_eq!(contact.successors[&user.to_string()], count);
    }
    assert_eq!(world.number("SELECT count(*) FROM contacts WHERE owner_id = 53").await, 0);
});
