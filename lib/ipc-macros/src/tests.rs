//! Which traits are interfaces, and what is said about those that are not.

use crate::{expand_interface, wire};
use quote::quote;

fn expand(item: &str) -> Result<String, String> {
    let item = item.parse().map_err(|error| format!("{error}"))?;
    expand_interface(quote! {}, item).map(|tokens| tokens.to_string()).map_err(|error| error.to_string())
}

/// The number of the interface with these methods.
fn number(methods: &str) -> u64 {
    let item = syn::parse_str(&format!("trait I {{ {methods} }}")).unwrap();
    let options = syn::parse_str("").unwrap();
    crate::parse::interface(options, item).ok().unwrap().number()
}

#[test]
fn each_unsupported_shape_is_refused_with_its_reason() {
    let cases = [
        ("trait I<T> { fn a(&self); }", "an interface cannot be generic"),
        ("trait I: Clone { fn a(&self); }", "an interface cannot have supertraits"),
        ("trait I { const N: u8; }", "an interface holds methods only"),
        ("trait I { type T; }", "an interface holds methods only"),
        ("trait I { fn a(&self) {} }", "a method of an interface has no body"),
        ("trait I { fn a<T>(&self, t: T); }", "a method of an interface cannot be generic"),
        ("trait I { fn a<'a>(&self, t: &'a str); }", "a method of an interface cannot be generic"),
        ("trait I { fn client_gone(&self); }", "`client_gone` is the name of a method"),
        ("trait I { #[deferred] async fn a(&self); }", "is neither `async` nor `one_way`"),
        ("trait I { #[deferred] #[one_way] fn a(&self); }", "is neither `async` nor `one_way`"),
        ("trait I { #[one_way] fn a(&self) -> u8; }", "a `one_way` method has no result"),
        ("trait I { fn a(&self) -> &str; }", "a result must be an owned type"),
        ("trait I { fn a(&self) -> impl Copy; }", "a result must be an owned type"),
        ("trait I { fn a(); }", "takes `&self` first"),
        ("trait I { fn a(self); }", "takes `&self` first"),
        ("trait I { fn a(&mut self); }", "takes `&self` first"),
        ("trait I { fn a(n: u8); }", "takes `&self` first"),
        ("trait I { fn a(&self, n: &mut u8); }", "an argument travels one way"),
        ("trait I { fn a(&self, n: impl Copy); }", "an argument needs one type on both ends"),
        ("trait I { fn a(&self, (x, y): (u8, u8)); }", "is a plain name"),
        ("trait I { fn a(&self, caller: u8); }", "names of arguments that handlers get"),
        (
            "trait I { fn a(&self, a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8, i: u8); }",
            "at most 8 arguments",
        ),
    ];
    for (item, reason) in cases {
        let error = expand(item).expect_err(item);
        assert!(error.contains(reason), "{item}: {error}");
    }
    let methods: String = (0..257).map(|n| format!("fn m{n}(&self);")).collect();
    assert!(expand(&format!("trait I {{ {methods} }}")).is_err_and(|e| e.contains("256 methods")));
}

#[test]
fn options_are_checked() {
    let item = quote! { trait I { fn a(&self); } };
    assert!(expand_interface(quote! { limit = 1 << 16 }, item.clone()).is_ok());
    let error = expand_interface(quote! { limits = 5 }, item).unwrap_err().to_string();
    assert_eq!(error, "the only option is `limit = <bytes>`");
}

#[test]
fn servers_own_what_clients_borrow() {
    let code = expand("trait I { fn a(&self, s: &str, b: &[u32], i: &Item); }").unwrap();
    let squeezed: String = code.split_whitespace().collect();
    assert!(squeezed.contains(
        "fna(&self,caller:&::ipc::Caller,s:::ipc::macros::String,b:::ipc::macros::Vec<u32>,i:Item)"
    ));
    assert!(squeezed.contains("pubfna(&self,s:&str,b:&[u32],i:&Item)"));
}

#[test]
fn the_number_changes_with_everything_both_ends_must_agree_on() {
    let base = number("fn a(&self, n: u32) -> u64; fn b(&self);");
    let others = [
        "fn b(&self); fn a(&self, n: u32) -> u64;",
        "fn a(&self, n: u64) -> u64; fn b(&self);",
        "fn a(&self, n: u32) -> u32; fn b(&self);",
        "fn a(&self, n: u32) -> u64; fn c(&self);",
        "fn a(&self, n: u32) -> u64;",
        "fn a(&self, n: u32) -> u64; #[one_way] fn b(&self);",
    ];
    for other in others {
        assert_ne!(number(other), base, "{other}");
    }
}

#[test]
fn the_number_does_not_depend_on_how_a_handler_answers_or_on_argument_names() {
    let base = number("fn a(&self, text: String) -> u64;");
    assert_eq!(number("/// Says.\nasync fn a(&self, other: String) -> u64;"), base);
    assert_eq!(number("#[deferred] fn a(&self, text: String) -> u64;"), base);
    assert_eq!(number("fn a(&self, text: &str) -> u64;"), number("async fn a(&self, t: &str) -> u64;"));
}

#[test]
fn types_that_cannot_travel_are_refused() {
    let cases = [
        ("struct S<T>(T);", "cannot be generic"),
        ("enum E {}", "1 to 256 variants"),
        ("union U { a: u8 }", "a union cannot be decoded"),
    ];
    for (item, reason) in cases {
        let error = wire::derive(&syn::parse_str(item).unwrap()).unwrap_err().to_string();
        assert!(error.contains(reason), "{item}: {error}");
    }
    for item in ["struct S;", "struct S(u8, String);", "enum E { A, B(u8), C { d: u8 } }"] {
        assert!(wire::derive(&syn::parse_str(item).unwrap()).is_ok(), "{item}");
    }
}
