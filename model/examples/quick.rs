use model::{
    system::System,
    world::{Config, World},
};
use std::collections::HashSet;
fn run<const N: usize>(name: &str, c: Config, canonical: bool, reduce: bool) {
    let w = World::<N>::new(c);
    let mut seen: HashSet<Vec<u8>> = HashSet::new();
    let mut b = vec![];
    w.encode(&w.initial(), canonical, &mut b);
    seen.insert(b.clone());
    let mut cur = vec![b.clone()];
    let mut depth = 0;
    let mut acts = vec![];
    let t = std::time::Instant::now();
    let mut max = 0;
    while !cur.is_empty() {
        let mut next = vec![];
        for s in &cur {
            let st = w.decode(s);
            let mut b2 = vec![];
            acts.clear();
            w.actions(&st, reduce, &mut acts);
            for &a in &acts {
                match w.step(&st, a) {
                    Err(v) => {
                        println!("{name}: {v:?} on {a} at depth {depth}\n{st:?}");
                        return;
                    }
                    Ok(n) => {
                        if let Err(v) = w.check(&n) {
                            println!("{name}: {v:?} after {a} at depth {depth}\n{n:?}");
                            return;
                        }
                        w.encode(&n, canonical, &mut b2);
                        max = max.max(b2.len());
                        if seen.len() % 50021 == 0 {
                            w.encode(&n, false, &mut b2);
                            assert_eq!(w.decode(&b2), n);
                            w.encode(&n, canonical, &mut b2);
                        }
                        if !seen.contains(&b2) {
                            seen.insert(b2.clone());
                            next.push(b2.clone());
                        }
                    }
                }
            }
        }
        cur = next;
        depth += 1;
    }
    println!("{name}: {} states, depth {depth}, {:?}, {max} bytes", seen.len(), t.elapsed());
}
fn main() {
    let p = Config::plain(2);
    run::<2>("2x2 plain", p, false, false);
    let nf = Config { refusals: true, forced_deletes: true, ..p };
    run::<2>("2x2 refusals+forced", nf, false, false);
    run::<2>("2x2 reduced", nf, true, true);
    run::<2>("2x2 owed", Config { owed: true, ..nf }, true, false);
    run::<2>("2x2 zeroing", Config { zeroing: true, ..nf }, true, false);
    run::<2>("2x2 stepped", Config { stepped: true, ..nf }, true, false);
    run::<2>("2x2 stepped owed", Config { stepped: true, owed: true, zeroing: true, ..nf }, true, false);
    run::<2>("2x2 home channel", Config { home_channel: true, ..nf }, true, false);
    run::<2>(
        "2x2 home channel stepped owed",
        Config { home_channel: true, stepped: true, owed: true, ..nf },
        true,
        false,
    );
    run::<2>("2x1 typed", Config { size: 1, typed: true, ..nf }, true, false);
    run::<2>(
        "2x1 typed stepped owed",
        Config { size: 1, typed: true, owed: true, stepped: true, ..nf },
        true,
        false,
    );
    run::<2>("2x2 cut", Config { cut: 1, ..nf }, false, false);
    run::<2>("2x2 core stops", Config { core_stops: true, ..nf }, false, false);
    run::<2>("2x2 home stops", Config { home_stops: true, ..nf }, false, false);

    run::<2>("2x3 reduced", Config { refusals: true, forced_deletes: true, ..Config::plain(3) }, true, true);
}
