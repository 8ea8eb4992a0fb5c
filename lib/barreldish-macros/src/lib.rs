//! `#[barreldish::main]`: makes a function the program's start. Use it through `barreldish`.
#![forbid(unsafe_code)]

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::spanned::Spanned;
use syn::{Error, ItemFn};

/// Makes `fn main()` (or `async fn main()`) the start of the program.
///
/// It may return `()`, `i32` (the exit code), `barreldish::ExitCode`, or a `Result` of one of these: an error is printed
/// and the exit code is 1. On a hosted target it stays a plain `main`, so that checks and editors work everywhere.
#[proc_macro_attribute]
pub fn main(attributes: TokenStream, item: TokenStream) -> TokenStream {
    expand(attributes.into(), item.into()).unwrap_or_else(Error::into_compile_error).into()
}

fn expand(attributes: Tokens, item: Tokens) -> syn::Result<Tokens> {
    if !attributes.is_empty() {
        return Err(Error::new(attributes.span(), "#[barreldish::main] takes no arguments"));
    }
    let function: ItemFn = syn::parse2(item)?;
    check(&function)?;
    let name = &function.sig.ident;
    let body = if function.sig.asyncness.is_some() {
        quote! { ::barreldish::block_on(#name()) }
    } else {
        quote! { #name() }
    };
    // Inside a constant, the names of the program are seen but none is added to them.
    Ok(quote! {
        #[cfg(not(target_os = "none"))]
        fn main() {
            #function
            std::process::exit(::barreldish::start(|| #body));
        }

        #[cfg(target_os = "none")]
        #function

        #[cfg(target_os = "none")]
        const _: () = {
            #[unsafe(no_mangle)]
            fn __barreldish_main() -> i32 {
                ::barreldish::start(|| #body)
            }
        };
    })
}

fn check(function: &ItemFn) -> syn::Result<()> {
    let signature = &function.sig;
    if signature.ident != "main" {
        return Err(Error::new(signature.ident.span(), "#[barreldish::main] goes on `fn main`"));
    }
    if let Some(input) = signature.inputs.first() {
        return Err(Error::new(input.span(), "`main` takes no arguments: see `barreldish::args`"));
    }
    if !signature.generics.params.is_empty() {
        return Err(Error::new(signature.generics.span(), "`main` cannot be generic"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(item: Tokens) -> String {
        expand(Tokens::new(), item).expect_err("it should be refused").to_string()
    }

    #[test]
    fn only_a_plain_main_is_taken() {
        assert!(error(quote! { fn start() {} }).contains("fn main"));
        assert!(error(quote! { fn main(count: i32) {} }).contains("barreldish::args"));
        assert!(error(quote! { fn main<T>() {} }).contains("generic"));
        assert!(error(quote! { struct Main; }).contains("expected"));
    }

    #[test]
    fn an_async_main_is_waited_for() {
        let made = expand(Tokens::new(), quote! { async fn main() {} }).unwrap().to_string();
        assert!(made.contains("block_on"));
    }
}
