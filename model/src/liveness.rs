//! What can go on for ever, and must not.
//!
//! In the graph of all states:
//!
//! - L1: internal steps, those with a [`Fairness`](crate::system::Fairness), make no cycle: by itself, the system comes to rest.
//! - L2: on no fair cycle a promise waits all the time. A cycle is fair if each weakly fair label is taken on it, or cannot be
//!   somewhere, and each strongly fair one is taken, or never can be.
//! - Nothing waits where only users could go on: [`DEADLOCK`](crate::story::DEADLOCK).
//!
//! Fair cycles are looked for in strongly connected components of the states in which a promise waits. A component in which a
//! weakly fair label can always be taken, but never is, has no fair cycle. One in which a strongly fair label never is taken can
//! only have one without the states in which it can be: the rest is searched again (Emerson and Lei 1987). All that remain are
//! fair as a whole.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::components::Components;
use crate::explore::{End, Limit, Options};
use crate::graph::{Failed, Graph, Labels, NO_LABEL, Node, set};
use crate::story::Story;
use crate::system::{System, Violation};

/// Internal steps end.
pub const TERMINATION: &str = "L1";
/// No promise waits for ever.
pub const STARVATION: &str = "L2";

/// What was found.
#[derive(Clone, Debug)]
pub struct Report<A> {
    /// How many states there are.
    pub states: u64,
    /// How many steps.
    pub transitions: u64,
    /// How many components with a cycle were looked at, over all promises.
    pub components: u64,
    /// How many states the largest one has.
    pub largest: u64,
    /// How long it took.
    pub time: Duration,
    /// The bytes of the graph.
    pub peak_bytes: usize,
    /// How it ended.
    pub end: End<A>,
}

/// Looks at all that can go on for ever. Of the options, only the limits count.
pub fn liveness<S: System>(system: &S, options: &Options) -> Report<S::Action> {
    let begin = Instant::now();
    let mut report = Report {
        states: 0,
        transitions: 0,
        components: 0,
        largest: 0,
        time: Duration::ZERO,
        peak_bytes: 0,
        end: End::Complete,
    };
    let checked = Graph::build(system, options).and_then(|graph| {
        (report.states, report.transitions) = (graph.len() as u64, graph.edges() as u64);
        report.peak_bytes = graph.bytes();
        let components = Components::new(graph.len());
        let is_late = &|| begin.elapsed() >= options.max_time;
        Check { components, graph: &graph, report: &mut report, is_late }.all()
    });
    report.end = match checked {
        Ok(()) => End::Complete,
        Err(Failed::Stopped(limit)) => End::Stopped(limit),
        Err(Failed::Violated(story)) => {
            End::Violated { violation: story.violation.clone(), story: Ok(story) }
        }
    };
    report.time = begin.elapsed();
    report
}

struct Check<'a, S: System> {
    graph: &'a Graph<'a, S>,
    components: Components,
    report: &'a mut Report<S::Action>,
    /// Whether there is no more time.
    is_late: &'a dyn Fn() -> bool,
}

impl<S: System> Check<'_, S> {
    fn all(&mut self) -> Result<(), Failed<S::Action>> {
        self.termination().map_or(Ok(()), |it| Err(Failed::Violated(it)))?;
        let promises = self.graph.waiting.iter().fold(0, |all, it| all | it);
        (0..u64::BITS).filter(|it| promises >> it & 1 == 1).try_for_each(|it| self.starvation(it))
    }

    /// A cycle of internal steps.
    fn termination(&mut self) -> Option<Story<S::Action>> {
        let nodes: Vec<_> = (0..self.graph.len() as Node).collect();
        let is_internal = |label| label != NO_LABEL;
        let component = earliest(self.components.find(self.graph, &nodes, is_internal))?;
        let part = self.components.part(&component);
        let text = "internal steps go on for ever".to_owned();
        let violation = Violation { check: TERMINATION, text };
        Some(Lasso::new(self.graph, &self.components, part, &component, is_internal).story(vec![], violation))
    }

    /// A fair cycle on which the promise waits.
    fn starvation(&mut self, promise: u32) -> Result<(), Failed<S::Action>> {
        let waits = |node: &Node| self.graph.waiting[*node as usize] >> promise & 1 == 1;
        let mut open = vec![(0..self.graph.len() as Node).filter(waits).collect::<Vec<_>>()];
        let mut fair = vec![];
        while let Some(nodes) = open.pop() {
            if (self.is_late)() {
                return Err(Failed::Stopped(Limit::Time));
            }
            for component in self.components.find(self.graph, &nodes, |_| true) {
                self.report.components += 1;
                self.report.largest = self.report.largest.max(component.len() as u64);
                match self.verdict(&component) {
                    Verdict::Unfair => {}
                    Verdict::OnlyWithout(labels) => {
                        let rest = component.into_iter().filter(|&it| self.graph.enabled(it) & labels == 0);
                        open.push(rest.collect());
                    }
                    Verdict::Fair => fair.push(component),
                }
            }
        }
        let Some(component) = earliest(fair) else { return Ok(()) };
        let part = self.components.part(&component);
        let text = format!("promise {promise} waits for ever");
        let lasso = Lasso::new(self.graph, &self.components, part, &component, |_| true);
        let violation = Violation { check: STARVATION, text };
        Err(Failed::Violated(lasso.story(self.duties(&component), violation)))
    }

    fn verdict(&mut self, component: &[Node]) -> Verdict {
        let part = self.components.part(component);
        let (weak, strong) = self.graph.fair_labels();
        let (mut taken, mut always, mut ever) = (0, Labels::MAX, 0);
        for &node in component {
            let enabled = self.graph.enabled(node);
            (always, ever) = (always & enabled, ever | enabled);
            let within = self.graph.steps(node).filter(|it| self.components.is_in(it.0, part));
            taken = within.fold(taken, |taken, (_, label)| taken | set(label));
        }
        match ever & strong & !taken {
            _ if always & weak & !taken != 0 => Verdict::Unfair,
            0 => Verdict::Fair,
            labels => Verdict::OnlyWithout(labels),
        }
    }

    /// What a cycle through the component has to do to be fair.
    fn duties(&self, component: &[Node]) -> Vec<Duty> {
        let (weak, strong) = self.graph.fair_labels();
        let (always, ever) = component.iter().fold((Labels::MAX, 0), |(always, ever), &node| {
            let enabled = self.graph.enabled(node);
            (always & enabled, ever | enabled)
        });
        let duty = |label: u8| match set(label) {
            it if (weak & always | strong & ever) & it != 0 => Some(Duty::Take(label)),
            it if weak & ever & it != 0 => Some(Duty::TakeOrBeDisabled(label)),
            _ => None,
        };
        (0..Labels::BITS as u8).filter_map(duty).collect()
    }
}

enum Verdict {
    /// No cycle in it is fair.
    Unfair,
    /// Those in it that are fair are where none of these can be taken.
    OnlyWithout(Labels),
    /// The cycle through all of it is.
    Fair,
}

/// The component that is reached first.
fn earliest(components: Vec<Vec<Node>>) -> Option<Vec<Node>> {
    components.into_iter().min_by_key(|it| it.iter().min().copied())
}

/// What has to be on a cycle.
#[derive(Clone, Copy)]
enum Duty {
    /// A step with this label.
    Take(u8),
    /// That, or a state in which it cannot be taken.
    TakeOrBeDisabled(u8),
}

impl Duty {
    fn is_done<S: System>(self, graph: &Graph<'_, S>, from: Node, label: u8) -> bool {
        match self {
            Self::Take(it) => it == label,
            Self::TakeOrBeDisabled(it) => it == label || graph.enabled(from) & set(it) == 0,
        }
    }
}

/// The way to a component, and a cycle in it.
struct Lasso<'a, S: System, C: Fn(u8) -> bool> {
    graph: &'a Graph<'a, S>,
    components: &'a Components,
    part: u32,
    counts: C,
    way: Vec<Node>,
    labels: Vec<Option<u8>>,
}

impl<'a, S: System, C: Fn(u8) -> bool> Lasso<'a, S, C> {
    fn new(
        graph: &'a Graph<'a, S>,
        components: &'a Components,
        part: u32,
        component: &[Node],
        counts: C,
    ) -> Self {
        let way = graph.way_to(*component.iter().min().expect("a component has nodes"));
        let labels = vec![None; way.len() - 1];
        Self { graph, components, part, counts, way, labels }
    }

    /// Does its duties one by one, the nearest first, and returns to where it began.
    fn story(mut self, mut duties: Vec<Duty>, violation: Violation) -> Story<S::Action> {
        let repeats_from = self.labels.len();
        let start = self.way[repeats_from];
        while !duties.is_empty() {
            let graph = self.graph;
            self.go(|from, (_, label)| duties.iter().any(|it| it.is_done(graph, from, label)));
            let done = self.way[repeats_from..].iter().zip(&self.labels[repeats_from..]);
            for (&from, &label) in done {
                duties.retain(|it| !it.is_done(graph, from, label.unwrap_or(NO_LABEL)));
            }
        }
        if self.labels.len() == repeats_from || self.way.last() != Some(&start) {
            self.go(|_, (target, _)| target == start);
        }
        let steps = self.graph.actions(&self.way, &self.labels);
        Story { steps, repeats_from: Some(repeats_from), violation }
    }

    /// Goes the shortest way that ends with a step that is wanted.
    fn go(&mut self, wanted: impl Fn(Node, (Node, u8)) -> bool) {
        let here = *self.way.last().expect("a way has a beginning");
        let mut came_from = std::collections::HashMap::new();
        let mut open = VecDeque::from([here]);
        while let Some(from) = open.pop_front() {
            let steps = self.graph.steps(from);
            for step in steps.filter(|it| (self.counts)(it.1) && self.components.is_in(it.0, self.part)) {
                if wanted(from, step) {
                    return self.append(&came_from, from, step);
                }
                if step.0 != here && !came_from.contains_key(&step.0) {
                    came_from.insert(step.0, (from, step.1));
                    open.push_back(step.0);
                }
            }
        }
        unreachable!("from everywhere in a component there is a way to everything in it");
    }

    fn append(
        &mut self,
        came_from: &std::collections::HashMap<Node, (Node, u8)>,
        from: Node,
        last: (Node, u8),
    ) {
        let mut steps = vec![last];
        let mut at = from;
        while let Some(&(before, label)) = came_from.get(&at) {
            steps.push((at, label));
            at = before;
        }
        for (target, label) in steps.into_iter().rev() {
            self.way.push(target);
            self.labels.push(Some(label));
        }
    }
}
