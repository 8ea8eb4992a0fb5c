//! Figures as pictures: SVG text, the same for the same figures.

use std::fmt::{self, Write as _};

/// Width of every picture, and what is left of the drawing on each side, in pixels.
const WIDTH: f64 = 960.0;
const MARGIN: Margin = Margin { left: 90.0, right: 250.0, top: 60.0, bottom: 60.0 };
const HEIGHT: f64 = 480.0;
/// Height of a bar and what belongs to it.
const ROW: f64 = 24.0;
/// Where the bars begin: their names stand before.
const BARS: f64 = 220.0;
/// What is left behind the longest bar, for its text.
const BEHIND: f64 = 230.0;
/// Bars end here: one that is far off must not make the others disappear.
const LONGEST: f64 = 5.0;
/// Up to so many, each whole number has its mark.
const FEW: f64 = 16.0;
const GRID: &str = r##"stroke="#dddddd""##;
/// Told apart by people who see few colours, too.
const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];
const MET: &str = "#0072b2";
const MISSED: &str = "#d55e00";

struct Margin {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

/// A row of points, and its name.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// What was measured.
    pub name: String,
    /// How many there were, more than 0, and what one more cost.
    pub points: Vec<(f64, f64)>,
}

/// A figure beside its bound.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// What was measured.
    pub name: String,
    /// The value, in words.
    pub value: String,
    /// Value by bound: up to 1 it is met.
    pub share: f64,
}

/// The line `at + slope * log10(x)` that is nearest to the points, by least squares. `None` with less than two places.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogLine {
    at: f64,
    slope: f64,
}

impl LogLine {
    /// Of these points.
    pub fn fit(points: &[(f64, f64)]) -> Option<Self> {
        let count = points.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (x, y) = (mean(|it| it.0.log10()), mean(|it| it.1));
        let spread: f64 = points.iter().map(|it| (it.0.log10() - x).powi(2)).sum();
        let common: f64 = points.iter().map(|it| (it.0.log10() - x) * (it.1 - y)).sum();
        let slope = common / spread;
        slope.is_finite().then_some(Self { at: y - slope * x, slope })
    }

    fn value(self, x: f64) -> f64 {
        self.at + self.slope * x.log10()
    }
}

/// What is drawn, piece by piece.
struct Svg(String);

impl Svg {
    fn new(height: f64, title: &str) -> Self {
        let mut svg = Self(String::new());
        svg.line(format_args!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13">"#
        ));
        svg.line(format_args!("<title>{}</title>", escaped(title)));
        svg.line(format_args!(r##"<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>"##));
        svg.text(WIDTH / 2.0, 28.0, "middle", title);
        svg
    }

    fn line(&mut self, what: fmt::Arguments<'_>) {
        // A string takes everything.
        let _ = writeln!(self.0, "{what}");
    }

    fn text(&mut self, x: f64, y: f64, anchor: &str, text: &str) {
        let text = escaped(text);
        self.line(format_args!(r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#));
    }

    fn stroke(&mut self, from: (f64, f64), to: (f64, f64), style: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.line(format_args!(r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" {style}/>"#));
    }

    fn finish(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }
}

/// What cannot stand in XML as it is.
fn escaped(text: &str) -> String {
    let escape = |it: char| match it {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        it if it.is_control() => " ".to_owned(),
        it => it.to_string(),
    };
    text.chars().map(escape).collect()
}

/// Cost over how many there are, with a logarithmic axis, and for each series the logarithm that is nearest to it, dashed:
/// what grows no faster stays beside it.
pub fn growth(title: &str, across: &str, up: &str, series: &[Series]) -> String {
    let mut svg = Svg::new(HEIGHT, title);
    let points = || series.iter().flat_map(|it| &it.points);
    if points().next().is_none() {
        return svg.finish();
    }
    let first = points().map(|it| it.0).fold(f64::INFINITY, f64::min).log10().floor();
    let last = points().map(|it| it.0).fold(1.0, f64::max).log10().ceil().max(first + 1.0);
    let ends = [10f64.powf(first), 10f64.powf(last)];
    let lines: Vec<_> = series.iter().map(|it| LogLine::fit(&it.points)).collect();
    let at_ends = lines.iter().flatten().flat_map(|line| ends.map(|x| line.value(x)));
    let top = round_up(points().map(|it| it.1).chain(at_ends).fold(1.0, f64::max));
    let frame = Frame { axis: Axis::Powers { first, last }, top };
    frame.grid(&mut svg, across, up);
    for (number, (series, line)) in series.iter().zip(lines).enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        frame.series(&mut svg, series, colour);
        if let Some(line) = line {
            let place = |x| frame.place((x, line.value(x).max(0.0)));
            let style = format!(r#"stroke="{colour}" stroke-dasharray="6 4""#);
            svg.stroke(place(ends[0]), place(ends[1]), &style);
        }
        legend(&mut svg, number, colour, &series.name, line);
    }
    svg.finish()
}

/// One value over another, both from 0 on, a line for each series.
pub fn lines(title: &str, across: &str, up: &str, series: &[Series]) -> String {
    let mut svg = Svg::new(HEIGHT, title);
    let points = || series.iter().flat_map(|it| &it.points);
    if points().next().is_none() {
        return svg.finish();
    }
    let last = points().map(|it| it.0).fold(1.0, f64::max).ceil();
    let top = round_up(points().map(|it| it.1).fold(1.0, f64::max));
    let frame = Frame { axis: Axis::Even { last: if last <= FEW { last } else { round_up(last) } }, top };
    frame.grid(&mut svg, across, up);
    for (number, series) in series.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        frame.series(&mut svg, series, colour);
        legend(&mut svg, number, colour, &series.name, None);
    }
    svg.finish()
}

/// From left to right.
enum Axis {
    /// Powers of ten from `first` to `last`.
    Powers { first: f64, last: f64 },
    /// From 0 to `last`.
    Even { last: f64 },
}

impl Axis {
    /// How far a value is from the left end, in shares of the whole.
    fn share(&self, x: f64) -> f64 {
        match self {
            Self::Powers { first, last } => (x.log10() - first) / (last - first),
            Self::Even { last } => x / last,
        }
    }

    /// The values that are written below.
    fn marks(&self) -> Vec<f64> {
        match *self {
            Self::Powers { first, last } => (first as i32..=last as i32).map(|it| 10f64.powi(it)).collect(),
            Self::Even { last } if last <= FEW => (0..=last as i32).map(f64::from).collect(),
            Self::Even { last } => (0..=5).map(|step| last / 5.0 * f64::from(step)).collect(),
        }
    }
}

/// The axes: one across, and 0 to `top`.
struct Frame {
    axis: Axis,
    top: f64,
}

impl Frame {
    const RIGHT: f64 = WIDTH - MARGIN.right;
    const BOTTOM: f64 = HEIGHT - MARGIN.bottom;

    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let across = self.axis.share(x);
        let up = y / self.top;
        (MARGIN.left + across * (Self::RIGHT - MARGIN.left), Self::BOTTOM - up * (Self::BOTTOM - MARGIN.top))
    }

    fn grid(&self, svg: &mut Svg, across: &str, up: &str) {
        for value in self.axis.marks() {
            let (x, _) = self.place((value, 0.0));
            svg.stroke((x, MARGIN.top), (x, Self::BOTTOM), GRID);
            svg.text(x, Self::BOTTOM + 18.0, "middle", &thousands(value));
        }
        for step in 0..=5 {
            let value = self.top / 5.0 * f64::from(step);
            let (_, y) = self.place((1.0, value));
            svg.stroke((MARGIN.left, y), (Self::RIGHT, y), GRID);
            svg.text(MARGIN.left - 8.0, y + 4.0, "end", &thousands(value));
        }
        svg.text((MARGIN.left + Self::RIGHT) / 2.0, Self::BOTTOM + 42.0, "middle", across);
        svg.text(MARGIN.left, MARGIN.top - 10.0, "start", up);
    }

    fn series(&self, svg: &mut Svg, series: &Series, colour: &str) {
        let places: Vec<_> = series.points.iter().map(|&point| self.place(point)).collect();
        let path: Vec<_> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let path = path.join(" ");
        svg.line(format_args!(
            r#"<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>"#
        ));
        let name = escaped(&series.name);
        for ((x, y), (at, value)) in places.into_iter().zip(&series.points) {
            let (at, value) = (thousands(*at), thousands(*value));
            svg.line(format_args!(
                r#"<circle cx="{x:.1}" cy="{y:.1}" r="4" fill="{colour}"><title>{name} {at}: {value}</title></circle>"#
            ));
        }
    }
}

/// What a colour stands for, on the right.
fn legend(svg: &mut Svg, number: usize, colour: &str, name: &str, line: Option<LogLine>) {
    let (x, y) = (WIDTH - MARGIN.right + 20.0, MARGIN.top + 48.0 * number as f64 + 10.0);
    svg.line(format_args!(
        r#"<rect x="{x:.1}" y="{:.1}" width="10" height="10" fill="{colour}"/>"#,
        y - 10.0
    ));
    svg.text(x + 18.0, y, "start", name);
    if let Some(line) = line {
        let text = format!("dashed: {} {:+.0} · log₁₀ n", thousands(line.at.round()), line.slope);
        svg.text(x + 18.0, y + 18.0, "start", &text);
    }
}

/// Figures in shares of their bounds, from the top in their order: what ends before the line is met.
pub fn bars(title: &str, bars: &[Bar]) -> String {
    let height = MARGIN.top + ROW * bars.len() as f64 + 20.0;
    let longest = bars.iter().map(|it| it.share.min(LONGEST)).fold(1.0, f64::max);
    let width = |share: f64| share / longest * (WIDTH - BEHIND - BARS);
    let mut svg = Svg::new(height, title);
    for (number, bar) in bars.iter().enumerate() {
        let y = MARGIN.top + ROW * number as f64;
        let (length, colour) = (width(bar.share.min(LONGEST)), if bar.share <= 1.0 { MET } else { MISSED });
        svg.text(BARS - 8.0, y + 15.0, "end", &bar.name);
        svg.line(format_args!(
            r#"<rect x="{BARS}" y="{:.1}" width="{length:.1}" height="{:.1}" fill="{colour}"/>"#,
            y + 3.0,
            ROW - 6.0
        ));
        let text = format!("{:.0} %: {}", 100.0 * bar.share, bar.value);
        svg.text(BARS + length + 8.0, y + 15.0, "start", &text);
    }
    let bound = BARS + width(1.0);
    svg.stroke((bound, MARGIN.top - 8.0), (bound, height - 12.0), r##"stroke="#000000""##);
    svg.text(bound, MARGIN.top - 12.0, "middle", "bound");
    svg.finish()
}

/// The next 1, 2 or 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0].map(|it| it * power).into_iter().find(|&it| it >= value).unwrap_or(10.0 * power)
}

/// A number with a comma between thousands; decimals only where there are any.
pub fn thousands(value: f64) -> String {
    let text = if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.2}") };
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let (sign, digits) = whole.split_at(usize::from(whole.starts_with('-')));
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of the elements, of each as often as it is there. Panics where the text is not well-formed.
    fn elements(svg: &str) -> Vec<String> {
        let (mut open, mut seen, mut rest) = (vec![], vec![], svg);
        while let Some(at) = rest.find('<') {
            let (text, tag) = rest.split_at(at);
            assert!(!text.contains('>') && entities_are_known(text), "{text}");
            let (tag, behind) = tag[1..].split_once('>').expect("a tag ends");
            assert!(!tag.contains('<') && entities_are_known(tag), "{tag}");
            rest = behind;
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop().as_deref(), Some(name));
                continue;
            }
            let (name, attributes) = tag.trim_end_matches('/').split_once(' ').unwrap_or((tag, ""));
            attributes_are_quoted(attributes);
            assert!(!open.is_empty() || seen.is_empty(), "a second root: {tag}");
            seen.push(name.to_owned());
            if !tag.ends_with('/') {
                open.push(name.to_owned());
            }
        }
        assert_eq!((open.len(), rest.trim()), (0, ""), "all is closed, and nothing follows");
        seen
    }

    fn entities_are_known(text: &str) -> bool {
        let known = ["amp;", "lt;", "gt;", "quot;"];
        text.split('&').skip(1).all(|rest| known.iter().any(|it| rest.starts_with(it)))
    }

    fn attributes_are_quoted(mut rest: &str) {
        let mut names = vec![];
        while !rest.trim().is_empty() {
            let (name, behind) = rest.split_once("=\"").expect("a value in quotes");
            assert!(!names.contains(&name.trim()), "{name} twice");
            names.push(name.trim());
            rest = behind.split_once('"').expect("a value ends").1;
        }
    }

    fn count(elements: &[String], name: &str) -> usize {
        elements.iter().filter(|it| *it == name).count()
    }

    fn series(name: &str, cost: impl Fn(f64) -> f64) -> Series {
        let points = (1..=5).map(|power| 10f64.powi(power)).map(|live| (live, cost(live)));
        Series { name: name.to_owned(), points: points.collect() }
    }

    fn bar(name: &str, share: f64) -> Bar {
        Bar { name: name.to_owned(), value: "1".to_owned(), share }
    }

    #[test]
    fn growth_shows_every_point_and_a_line_for_each_series() {
        let all = [series("a < b & \"c\"", |it| 12_000.0 + it.log10()), series("d", |it| it)];
        let svg = growth("what & how", "live", "cost", &all);
        let elements = elements(&svg);
        assert_eq!(count(&elements, "circle"), 10);
        assert_eq!(count(&elements, "polyline"), 2);
        assert_eq!(svg.matches("stroke-dasharray").count(), 2);
        for point in ["d 10: 10<", "d 100,000: 100,000<", "a &lt; b &amp; &quot;c&quot; 1,000: 12,003<"] {
            assert!(svg.contains(point), "no {point} in {svg}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert_eq!(svg, growth("what & how", "live", "cost", &all));
    }

    #[test]
    fn points_lie_where_they_belong() {
        let svg = growth("t", "x", "y", &[series("s", |_| 100.0)]);
        // The first at the left edge, the last at the right one, all at the top.
        for place in [r#"cx="90.0" cy="60.0""#, r#"cx="400.0" cy="60.0""#, r#"cx="710.0" cy="60.0""#] {
            assert!(svg.contains(place), "no {place} in {svg}");
        }
    }

    #[test]
    fn lines_begin_at_nothing() {
        let messages = |name: &str, each: f64| {
            let points = (1..=4).map(f64::from).map(|cores| (cores, each * (cores - 1.0)));
            Series { name: name.to_owned(), points: points.collect() }
        };
        let svg = lines("t", "cores", "messages", &[messages("retype", 2.0), messages("revoke", 4.0)]);
        assert_eq!(count(&elements(&svg), "circle"), 8);
        for point in ["revoke 1: 0<", "revoke 4: 12<", r#"cx="245.0" cy="420.0""#, r#"cx="710.0" cy="204.0""#]
        {
            assert!(svg.contains(point), "no {point} in {svg}");
        }
        let far = lines("t", "x", "y", &[series("s", |_| 1.0)]);
        assert!(far.contains(">20,000<") && far.contains(">100,000<"), "{far}");
        assert_eq!(count(&elements(&lines("t", "x", "y", &[])), "circle"), 0);
    }

    #[test]
    fn pictures_of_little_and_nothing_are_well_formed() {
        let one = Series { name: "one".to_owned(), points: vec![(10.0, 3.5)] };
        assert_eq!(count(&elements(&growth("t", "x", "y", &[one])), "circle"), 1);
        assert_eq!(count(&elements(&growth("t", "x", "y", &[])), "circle"), 0);
        elements(&bars("t", &[]));
    }

    #[test]
    fn the_nearest_logarithm_is_found() {
        let line = LogLine::fit(&series("s", |it| 100.0 + 7.0 * it.log10()).points).unwrap();
        assert!((line.at - 100.0).abs() < 1e-9 && (line.slope - 7.0).abs() < 1e-9, "{line:?}");
        assert_eq!(LogLine::fit(&[(10.0, 1.0), (10.0, 2.0)]), None);
        assert_eq!(LogLine::fit(&[]), None);
    }

    #[test]
    fn bars_are_as_long_as_their_shares_and_coloured_by_them() {
        let svg = bars("t", &[bar("half", 0.5), bar("all", 1.0), bar("twice", 2.0), bar("far", 100.0)]);
        let elements = elements(&svg);
        // One is the background.
        assert_eq!(count(&elements, "rect"), 5);
        assert_eq!((svg.matches(MET).count(), svg.matches(MISSED).count()), (2, 2));
        let widths: Vec<f64> = svg
            .lines()
            .filter(|it| it.starts_with(r#"<rect x="220""#))
            .map(|it| it.split_once("width=\"").unwrap().1.split_once('"').unwrap().0.parse().unwrap())
            .collect();
        assert!((widths[1] - 2.0 * widths[0]).abs() < 0.2 && (widths[2] - 4.0 * widths[0]).abs() < 0.2);
        assert!((widths[3] - LONGEST * widths[1]).abs() < 1.0, "{widths:?}");
        assert!(svg.contains("10000 %"), "{svg}");
    }

    #[test]
    fn numbers_are_read_easily() {
        for (value, text) in
            [(0.0, "0"), (999.0, "999"), (1000.0, "1,000"), (1234567.5, "1,234,567.50"), (-1000.0, "-1,000")]
        {
            assert_eq!(thousands(value), text);
        }
        for (value, up) in [(1.0, 1.0), (1.1, 2.0), (14_519.0, 20_000.0), (60.0, 100.0)] {
            assert_eq!(round_up(value), up);
        }
    }
}
