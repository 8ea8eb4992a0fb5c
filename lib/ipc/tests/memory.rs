//! Without memory: a message that there is no room for fails, and nothing else does.

mod fake;
mod probe;

use ipc::CallError;
use probe::{Item, ProbeError, connect};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

thread_local! {
    /// Blocks of so many bytes, and larger ones, are not to be had.
    static REFUSED: Cell<usize> = const { Cell::new(usize::MAX) };
}

struct Scarce;

#[global_allocator]
static ALLOCATOR: Scarce = Scarce;

// SAFETY: all that is not refused is the system allocator's.
unsafe impl GlobalAlloc for Scarce {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() >= REFUSED.with(Cell::get) {
            return std::ptr::null_mut();
        }
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Lets `world` go on with no large blocks.
fn scarce(world: &fake::World, from: usize) {
    REFUSED.with(|refused| refused.set(from));
    world.run();
    REFUSED.with(|refused| refused.set(usize::MAX));
}

#[test]
fn a_request_for_which_there_is_no_memory_fails_alone() {
    let lengths = [2_000, 5_000, 19_000];
    let mut failed = 0;
    for from in [512, 600, 1_000, 3_000, 8_000, 16_000, 20_000] {
        for length in lengths {
            let (world, state, client) = connect(4);
            world.run();
            let bytes = vec![7u8; length];
            let answer = Rc::new(RefCell::new(None));
            // What is asked is encoded here, with memory.
            let (call, to) = (client.echo_async(&bytes), answer.clone());
            world.spawn(async move {
                let result = call.await;
                *to.borrow_mut() = Some(result.map(|it| it.len()));
            });
            scarce(&world, from);
            let answer = answer.take().expect("it is answered");
            match answer {
                Ok(count) => assert_eq!(count, length),
                Err(error) => {
                    failed += 1;
                    assert_eq!(error, CallError::OutOfMemory, "{length} bytes, none from {from}");
                }
            }
            // The channel goes on, for requests of any length.
            assert_eq!(client.add(1, 2), Ok(3));
            assert_eq!(client.echo(&bytes), Ok(bytes));
            assert!(state.gone.borrow().is_empty());
        }
    }
    assert!(failed > 10, "{failed}");
}

#[test]
fn structures_and_messages_without_an_answer_fail_alone_too() {
    let (world, state, client) = connect(4);
    let item = Item { name: "x".repeat(3_000), size: 1, tag: None, more: vec![(1, true); 4_000] };
    let answer = Rc::new(RefCell::new(None));
    let (call, to) = (client.items_async(1, &item), answer.clone());
    let note = client.note_async(&"y".repeat(9_000));
    world.spawn(async move {
        note.await.unwrap();
        let result = call.await;
        *to.borrow_mut() = Some(result);
    });
    scarce(&world, 2_000);
    assert_eq!(answer.take(), Some(Err(ProbeError::Call(CallError::OutOfMemory))));
    assert!(state.notes.borrow().is_empty());
    client.note("z").unwrap();
    assert_eq!(client.items(1, &item), Ok(vec![item]));
    assert_eq!(*state.notes.borrow(), ["z"]);
}

#[test]
fn a_server_without_memory_for_answers_closes_the_channel_of_who_does_not_read_them() {
    let (world, state, client) = connect(2);
    client.add(1, 1).unwrap();
    for key in 0..400 {
        let call = client.later_async(key);
        world.spawn(async move {
            let _ = call.await;
        });
    }
    world.run();
    assert_eq!(state.replies.borrow().len(), 400);
    // Nobody empties the client's ring meanwhile.
    REFUSED.with(|refused| refused.set(4_000));
    for (_, reply) in state.replies.take() {
        let _ = reply.send(&Ok("done".into()));
    }
    REFUSED.with(|refused| refused.set(usize::MAX));
    world.run();
    assert_eq!(client.add(1, 1), Err(CallError::Overloaded));
}
