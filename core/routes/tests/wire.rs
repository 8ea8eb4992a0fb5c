//! Messages as lines, and lines that are none.

use abi::packet::{HEADER_CAPABILITY, Packet};
use proptest::prelude::*;
use routes::{Along, Line, Message, RecordId, Tag, packet_follows};

fn record() -> impl Strategy<Value = RecordId> {
    (any::<u16>(), any::<u32>()).prop_map(|(index, generation)| RecordId { index, generation })
}

fn along() -> impl Strategy<Value = Along> {
    prop_oneof![
        Just(Along::Nothing),
        Just(Along::Lost),
        Just(Along::Arrived),
        any::<u32>().prop_map(Along::Notify),
        record().prop_map(Along::Offer),
        record().prop_map(Along::Proxy),
        record().prop_map(Along::Peer),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    let packet = (any::<u64>(), any::<[u64; 7]>())
        .prop_map(|(header, words)| Packet { header: header & !HEADER_CAPABILITY, words });
    prop_oneof![
        (record(), along(), packet).prop_map(|(to, along, packet)| Message::Data { to, along, packet }),
        (record(), record()).prop_map(|(to, record)| Message::Opened { to, record }),
        record().prop_map(|to| Message::Refused { to }),
        record().prop_map(|to| Message::Accept { to }),
        (record(), 1u16..).prop_map(|(to, packets)| Message::Credit { to, packets }),
        record().prop_map(|to| Message::Close { to }),
        (record(), any::<u64>(), any::<u64>()).prop_map(|(record, service, domain)| Message::Open {
            record,
            service,
            domain
        }),
    ]
}

/// Lines that are nearly messages.
fn line() -> impl Strategy<Value = Line> {
    (0x3fu64..0x48, 0u64..9, any::<[u64; 4]>(), 0u64..2)
        .prop_map(|(kind, along, [a, b, c, d], rest)| [kind | along << 8, a, b, c, d, rest, 0, 0])
}

proptest! {
    #[test]
    fn what_is_written_is_read(message in message()) {
        let (first, second) = message.encode();
        prop_assert_eq!(packet_follows(&first), second.is_some());
        prop_assert_eq!(Message::decode(&first, second.as_ref()), Some(message));
        prop_assert!(routes::KINDS.contains(&(first[0] as u8)));
    }

    #[test]
    fn what_is_read_would_have_been_written(first in line(), second in prop::option::of(any::<Line>())) {
        if let Some(message) = Message::decode(&first, second.as_ref()) {
            prop_assert_eq!(message.encode(), (first, second));
        }
    }

    #[test]
    fn a_bit_of_an_unused_word_makes_it_no_message(message in message(), word in 5usize..8, bit in 0u32..64) {
        let (mut first, second) = message.encode();
        first[word] ^= 1 << bit;
        prop_assert_eq!(Message::decode(&first, second.as_ref()), None);
    }

    #[test]
    fn a_tag_is_a_word(word in any::<u64>()) {
        prop_assert_eq!(Tag::from_word(word).word(), word);
    }
}
