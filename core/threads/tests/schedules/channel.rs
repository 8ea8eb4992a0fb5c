use std::cell::{Cell, RefCell};
use std::rc::Rc;

use threads::sync::{Channel, RecvError, RecvUntilError, SendError, TryRecvError, TrySendError};

use crate::world::{Model, Shared, check, end, in_handler, once, run};

type Pairs = Channel<Model, (usize, usize)>;

/// Receives until all senders are gone: so many from each, each sender's in order.
fn receive_all(channel: &Pairs, senders: usize, each: usize) {
    let mut next = vec![0; senders];
    while let Ok((sender, number)) = channel.recv() {
        assert_eq!(number, next[sender], "sender {sender}'s values in order");
        next[sender] += 1;
    }
    assert_eq!(next, vec![each; senders]);
}

fn everything_arrives(channel: Pairs) {
    let channel = Shared::new(channel);
    (0..2).for_each(|_| channel.add_sender());
    run(4, &channel, |number, channel| {
        if number == 3 {
            return receive_all(channel, 3, 3);
        }
        (0..3).for_each(|value| channel.send((number, value)).unwrap());
        channel.drop_sender();
    });
}

#[test]
fn everything_arrives_in_order_through_one_place() {
    check(|| everything_arrives(Channel::bounded(1)));
}

#[test]
fn everything_arrives_in_order_through_two_places() {
    check(|| everything_arrives(Channel::bounded(2)));
}

#[test]
fn everything_arrives_in_order_without_a_bound() {
    check(|| everything_arrives(Channel::unbounded()));
}

#[test]
fn senders_get_back_what_a_receiver_that_left_has_not_accepted() {
    check(|| {
        let channel = Channel::<Model, (usize, Rc<()>)>::bounded(1);
        let value = Rc::new(());
        let shared = Shared::new((channel, value, Cell::new(0), Cell::new(0)));
        run(4, &shared, |number, (channel, value, sent, back)| {
            if number == 3 {
                drop(channel.recv().unwrap());
                return channel.drop_receiver();
            }
            match channel.send((number, value.clone())) {
                Ok(()) => sent.set(sent.get() + 1),
                Err(SendError((same, _))) => {
                    assert_eq!(same, number);
                    back.set(back.get() + 1);
                }
            }
        });
        let (channel, value, sent, back) = &*shared;
        // One was received, and one can have been in the channel.
        assert!((1..=2).contains(&sent.get()) && sent.get() + back.get() == 3);
        assert_eq!(Rc::strong_count(value), 1, "what was accepted is dropped");
        assert!(matches!(channel.try_send((9, value.clone())), Err(TrySendError::Disconnected((9, _)))));
    });
}

#[test]
fn a_value_whose_sender_ended_arrives_and_makes_room() {
    check(|| {
        let channel = Shared::new(Channel::<Model, usize>::bounded(1));
        let sum = Shared::new((channel.clone(), Cell::new(0)));
        run(3, &sum, |number, (channel, sum)| {
            if number == 2 {
                return (0..4).for_each(|_| sum.set(sum.get() + channel.recv().unwrap()));
            }
            channel.send(1).unwrap();
            if number == 0 {
                channel.send(10).unwrap();
                return end();
            }
            channel.send(100).unwrap();
        });
        assert_eq!(sum.1.get(), 112);
    });
}

#[test]
fn a_receiver_that_times_out_has_taken_nothing() {
    check(|| {
        let channel = Channel::<Model, usize>::bounded(1);
        channel.add_sender();
        let shared = Shared::new((channel, RefCell::new(Vec::new())));
        run(3, &shared, |number, (channel, got)| {
            if number < 2 {
                channel.send(number).unwrap();
                return channel.drop_sender();
            }
            for deadline in 1.. {
                match channel.recv_until(deadline) {
                    Ok(value) => got.borrow_mut().push(value),
                    Err(RecvUntilError::TimedOut) => {}
                    Err(RecvUntilError::Disconnected) => break,
                }
            }
            got.borrow_mut().sort_unstable();
            assert_eq!(*got.borrow(), [0, 1]);
        });
    });
}

#[test]
fn a_receiver_whose_value_was_taken_waits_for_the_next() {
    // As a handler may, on the stack of the thread that waits.
    check(|| {
        let channel = Shared::new(Channel::<Model, usize>::unbounded());
        run(3, &channel, |number, channel| match number {
            0 => (0..3).for_each(|value| channel.send(value).unwrap()),
            1 => assert!((0..2).map(|_| channel.recv().unwrap()).is_sorted()),
            _ => {
                while channel.try_recv().is_err() {
                    crate::world::pause();
                }
            }
        });
    });
}

#[test]
fn what_is_tried_never_waits() {
    once(|| {
        let channel = Channel::<Model, usize>::bounded(2);
        in_handler(|| {
            assert_eq!(channel.try_recv(), Err(TryRecvError::Empty));
            assert_eq!((channel.try_send(1), channel.send(2)), (Ok(()), Ok(())));
            assert_eq!(channel.try_send(3), Err(TrySendError::Full(3)));
            assert_eq!((channel.recv(), channel.try_recv()), (Ok(1), Ok(2)));
            channel.drop_sender();
            assert_eq!(
                (channel.recv(), channel.try_recv()),
                (Err(RecvError), Err(TryRecvError::Disconnected))
            );
            assert_eq!(channel.recv_until(9), Err(RecvUntilError::Disconnected));
        });
    });
}

#[test]
#[should_panic(expected = "a handler must not wait for room in a channel")]
fn a_handler_does_not_wait_for_room() {
    once(|| {
        let channel = Channel::<Model, usize>::bounded(1);
        in_handler(|| (0..2).for_each(|value| channel.send(value).unwrap()));
    });
}

#[test]
#[should_panic(expected = "a handler must not wait for a value")]
fn a_handler_does_not_wait_for_a_value() {
    once(|| {
        let _ = in_handler(|| Channel::<Model, usize>::unbounded().recv());
    });
}
