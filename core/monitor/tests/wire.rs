//! What monitors say to each other, as words and back.

use capops::{CoreId, Finding, Request, ToCore, ToHome, Verdict};
use model::sim::SimKey;
use monitor::{Body, Message, PAGE, UnitId, WORDS, WireKey};
use proptest::prelude::*;

fn key() -> impl Strategy<Value = SimKey> {
    (0u8..64, 0u8..80).prop_map(|(region, index)| SimKey { region, index })
}

fn core() -> impl Strategy<Value = CoreId> {
    (0u8..32).prop_map(CoreId)
}

fn to_home() -> impl Strategy<Value = ToHome<SimKey>> {
    let finding = prop::sample::select(vec![Finding::Conflict, Finding::Inside, Finding::Nothing]);
    prop_oneof![
        (key(), core()).prop_map(|(key, to)| ToHome::Request(Request::Send { key, to })),
        (key(), key()).prop_map(|(src, new)| ToHome::Request(Request::Retype { src, new })),
        key().prop_map(|top| ToHome::Request(Request::Revoke { top })),
        Just(ToHome::Gone),
        any::<(bool, bool)>().prop_map(|(accepted, empty)| ToHome::Delivered { accepted, empty }),
        finding.prop_map(ToHome::Checked),
        Just(ToHome::Marked),
        any::<bool>().prop_map(|empty| ToHome::Swept { empty }),
        any::<bool>().prop_map(|spanned| ToHome::Surveyed { spanned }),
        any::<(bool, bool)>()
            .prop_map(|(lower_empty, upper_empty)| ToHome::IsCut { lower_empty, upper_empty }),
    ]
}

fn to_core() -> impl Strategy<Value = ToCore<SimKey>> {
    let verdict = prop::sample::select(vec![Verdict::Failed, Verdict::Granted, Verdict::GrantedAlone]);
    prop_oneof![
        (key(), any::<bool>()).prop_map(|(key, exclusive)| ToCore::Deliver { key, exclusive }),
        (key(), key()).prop_map(|(src, new)| ToCore::Check { src, new }),
        (key(), any::<bool>()).prop_map(|(top, keeps_top)| ToCore::Mark { top, keeps_top }),
        Just(ToCore::Sweep),
        any::<u64>().prop_map(|at| ToCore::Survey { at }),
        any::<u64>().prop_map(|at| ToCore::Cut { at }),
        verdict.prop_map(ToCore::Done),
    ]
}

fn message() -> impl Strategy<Value = Message<SimKey>> {
    let body = prop_oneof![to_home().prop_map(Body::ToHome), to_core().prop_map(Body::ToCore)];
    (core(), any::<u32>(), body, any::<u64>()).prop_map(|(home, page, body, tag)| Message {
        unit: UnitId { home, page },
        body,
        tag,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_written_is_read(message in message()) {
        prop_assert_eq!(Message::decode(message.encode()), Some(message));
    }

    #[test]
    fn what_is_read_was_written_so(mut words in message().prop_map(|it| it.encode()), at in 0..WORDS, bit in 0u32..64) {
        words[at] ^= 1 << bit;
        if let Some(message) = Message::<SimKey>::decode(words) {
            prop_assert_eq!(message.encode(), words);
        }
    }

    #[test]
    fn garbage_is_no_message(words: [u64; WORDS]) {
        if let Some(message) = Message::<SimKey>::decode(words) {
            prop_assert_eq!(message.encode(), words);
        }
    }

    #[test]
    fn a_key_is_read_as_written(words in (0u64..1 << 20, 0u64..12)) {
        let words = [words.0, words.1];
        if let Some(key) = SimKey::from_words(words) {
            prop_assert_eq!(key.words(), words);
        }
    }
}

#[test]
fn a_unit_begins_at_a_page() {
    let unit = UnitId { home: CoreId(3), page: 1 };
    assert_eq!(unit.at(5 * PAGE), Some(UnitId { home: CoreId(3), page: 5 }));
    assert_eq!(unit.at(5 * PAGE + 1), None);
    assert_eq!(unit.at(PAGE << 32), None);
}
