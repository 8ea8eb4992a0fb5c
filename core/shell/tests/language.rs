//! What command lines mean.

use proptest::prelude::*;
use shell::language::{Host, Part, Reason, Refusal, SYNTAX_STATUS, escape, evaluate, parse, quote};
use std::collections::BTreeMap;

/// Writes down what was run; a command named by a number has it as its status.
#[derive(Default)]
struct Fake {
    ran: Vec<Vec<String>>,
    variables: BTreeMap<String, String>,
    stopped: bool,
}

impl Host for Fake {
    fn run(&mut self, arguments: &[&str]) -> i32 {
        self.ran.push(arguments.iter().map(|argument| argument.to_string()).collect());
        self.stopped |= arguments[0] == "stop";
        arguments[0].parse().unwrap_or(0)
    }

    fn run_in_background(&mut self, arguments: &[&str]) -> i32 {
        let words: Vec<&str> = arguments.iter().chain([&"&"]).copied().collect();
        self.run(&words)
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn assign(&mut self, name: &str, value: String) {
        self.variables.insert(name.into(), value);
    }

    fn stopped(&self) -> bool {
        self.stopped
    }
}

/// What a line runs, with the words of a command in brackets, and its status.
fn run(line: &str) -> (String, i32) {
    let mut host = Fake::default();
    host.variables.insert("X".into(), "a  b".into());
    host.variables.insert("long_1".into(), "$X".into());
    let mut status = 9;
    evaluate(line, &mut status, &mut host).unwrap();
    (host.ran.iter().map(|words| format!("[{}]", words.join("|"))).collect(), status)
}

#[test]
fn words_are_split_and_unquoted() {
    let cases = [
        ("", ""),
        ("  \t ", ""),
        ("a b\tc", "[a|b|c]"),
        ("a 'b  c' d", "[a|b  c|d]"),
        (r#"a "b \" \\ \$ \n ' c""#, r#"[a|b " \ $ \n ' c]"#),
        (r"a\ b \'c\'", "[a b|'c']"),
        ("a'b'\"c\"d", "[abcd]"),
        ("a '' \"\"", "[a||]"),
        ("a # b", "[a]"),
        ("# a", ""),
        ("a#b", "[a#b]"),
        ("a '#' \\# b", "[a|#|#|b]"),
        ("a \\\n b c\\\nd", "[a|b|cd]"),
        ("\u{e9}cho \u{65e5}", "[\u{e9}cho|\u{65e5}]"),
        ("a\r\nb\r\n", "[a][b]"),
    ];
    for (line, ran) in cases {
        assert_eq!(run(line).0, ran, "{line:?}");
    }
}

#[test]
fn variables_are_replaced_and_never_split() {
    let cases = [
        ("e $X", "[e|a  b]"),
        ("e \"<$X>\"", "[e|<a  b>]"),
        ("e '$X' \\$X", "[e|$X|$X]"),
        ("e $long_1.", "[e|$X.]"),
        ("e ${X}y $Xy \"$Xy\"", "[e|a  by|]"),
        ("e $ $1 $- a$", "[e|$|$1|$-|a$]"),
        ("e $?", "[e|9]"),
        ("$UNSET e", "[e]"),
        ("$UNSET", ""),
        ("3; e ${?}", "[3][e|3]"),
        ("A=1 B='x y'$X; e $A $B", "[e|1|x ya  b]"),
        ("e A=1", "[e|A=1]"),
        ("\\A=1", "[A=1]"),
        ("A==; e $A", "[e|=]"),
    ];
    for (line, ran) in cases {
        assert_eq!(run(line).0, ran, "{line:?}");
    }
}

#[test]
fn connectives_look_at_the_last_status() {
    let cases = [
        ("a; b", "[a][b]", 0),
        ("a;b;", "[a][b]", 0),
        ("1 && b", "[1]", 1),
        ("0 && b", "[0][b]", 0),
        ("1 || b", "[1][b]", 0),
        ("0 || b", "[0]", 0),
        ("1 && b || c", "[1][c]", 0),
        ("0 || b && c", "[0][c]", 0),
        ("1 || 2 && c; 3", "[1][2][3]", 3),
        ("1 &&\n b\nc", "[1][c]", 0),
        ("5 && A=1", "[5]", 5),
        ("5; A=1", "[5]", 0),
        ("stop; b && c", "[stop]", 0),
        ("a & b", "[a|&][b]", 0),
        ("a; 3 $? &", "[a][3|0|&]", 3),
        ("a && b; c & d || e", "[a][b][c|&][d]", 0),
        ("$UNSET &", "", 0),
        ("stop; b &", "[stop]", 0),
        ("", "", 9),
        ("# nothing", "", 9),
        ("$UNSET", "", 0),
    ];
    for (line, ran, status) in cases {
        assert_eq!(run(line), (ran.to_string(), status), "{line:?}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_nothing_runs() {
    use Reason::*;
    let cases = [
        ("a 'b", 2, UnterminatedQuote('\'')),
        ("a \"b\\\"", 2, UnterminatedQuote('"')),
        ("a \"b\\", 2, UnterminatedQuote('"')),
        ("a b\\", 3, TrailingBackslash),
        ("a ${X", 2, BadSubstitution),
        ("a ${}", 2, BadSubstitution),
        ("a \"${1}\"", 3, BadSubstitution),
        ("; a", 0, MissingCommand(";")),
        ("a ;; b", 3, MissingCommand(";")),
        ("a; && b", 3, MissingCommand("&&")),
        ("a && || b", 5, MissingCommand("||")),
        ("a & & b", 4, MissingCommand("&")),
        ("a &&", 4, CommandExpectedAfter("&&")),
        ("a ||", 4, CommandExpectedAfter("||")),
        ("a |", 3, CommandExpectedAfter("|")),
        ("a >", 2, MissingTarget(">")),
        ("a >> > b", 2, MissingTarget(">>")),
        ("a; b && c &", 10, NotSupported("running a list in the background (&)")),
        ("a; A=1 &", 7, NotSupported("an assignment in the background (&)")),
        ("a; b | c &", 5, NotSupported("a pipe (|)")),
        ("a; b | c", 5, NotSupported("a pipe (|)")),
        ("a && b > c", 7, NotSupported("redirection")),
        ("a; A=1 b", 3, NotSupported("an assignment before a command")),
    ];
    for (line, at, reason) in cases {
        let (mut host, mut status) = (Fake::default(), 0);
        let refused = evaluate(line, &mut status, &mut host);
        assert_eq!(refused, Err(Refusal { at, reason }), "{line:?}");
        assert_eq!((host.ran.len(), status), (0, SYNTAX_STATUS), "{line:?}");
    }
    let text = Refusal { at: 2, reason: UnterminatedQuote('\'') }.to_string();
    assert_eq!(text, "the quote ' is never closed (at byte 3)");
}

#[test]
fn pipes_redirections_and_ampersands_are_in_the_tree() {
    let statements = parse("a < in | b >> out & c").unwrap();
    assert_eq!(statements.len(), 2);
    assert_eq!(statements[0].background, Some(18));
    let pipeline = &statements[0].and_or.first;
    assert_eq!((pipeline.pipe, pipeline.commands.len()), (Some(7), 2));
    let target = &pipeline.commands[1].redirections[0].target;
    assert_eq!(target.parts, [Part::Text("out".into())]);
}

#[test]
fn a_line_of_100_kb_is_no_matter() {
    for line in
        ["a && ".repeat(20_000) + "a", "a;".repeat(50_000), "x".repeat(100_000), "a | ".repeat(25_000) + "b"]
    {
        parse(&line).unwrap();
    }
    assert_eq!(parse(&"'a".repeat(33_333)).unwrap_err().reason, Reason::UnterminatedQuote('\''));
}

/// The words that `line` runs, if it is one command without variables.
fn words(line: &str) -> Vec<String> {
    let (mut host, mut status) = (Fake::default(), 0);
    evaluate(line, &mut status, &mut host).unwrap();
    assert_eq!(host.ran.len(), 1);
    host.ran.remove(0)
}

proptest! {
    #[test]
    fn quoted_words_read_back(arguments in prop::collection::vec(any::<String>(), 1..6)) {
        let line = arguments.iter().map(|argument| quote(argument)).collect::<Vec<_>>().join(" ");
        prop_assert_eq!(words(&line), arguments);
    }

    #[test]
    fn quoted_words_of_special_characters_read_back(
        arguments in prop::collection::vec("[ '\"\\\\$#;&|<>=a?\n\t{}]{0,8}", 1..6),
    ) {
        let line = arguments.iter().map(|argument| quote(argument)).collect::<Vec<_>>().join(" ");
        prop_assert_eq!(words(&line), arguments);
    }

    #[test]
    fn an_escaped_word_reads_back(word in "[ '\"\\\\$#;&|<>a?\t{}\u{e9}]{1,12}") {
        prop_assert_eq!(words(&escape(&word)), [word]);
    }

    #[test]
    fn no_text_makes_the_parser_fall(text in "[ '\"\\\\$#;&|<>=a?\n{}]{0,40}") {
        if let Err(refusal) = parse(&text) {
            prop_assert!(refusal.at <= text.len());
        }
    }
}
