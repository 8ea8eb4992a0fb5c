//! The macros of `lib/ipc`: an interface trait becomes a client stub and a server dispatch, and types
//! learn to travel. Use them through `ipc`, which re-exports both.
#![forbid(unsafe_code)]

mod client;
mod parse;
mod server;
#[cfg(test)]
mod tests;
mod wire;

use proc_macro::TokenStream;

/// Makes an interface of a trait `Name`:
///
/// * the trait itself, as servers implement it: each method gets a first argument `caller: &Caller`, and
///   borrowed arguments are owned (`&str` is `String`, `&[T]` is `Vec<T>`, `&T` is `T`);
///   plus `client_gone`, called once when a client ends;
/// * `NameServer<S>`: a server of the implementation `S`; `open` makes the end of one channel;
/// * `NameClient<P>`: the client over a port `P`, with `method(..)`, which parks the thread, and
///   `method_async(..)`, a future.
///
/// A method is one of
///
/// * `fn`: the handler answers at once; the straightest path;
/// * `async fn`: the handler may await;
/// * `#[deferred] fn`: the handler gets a last argument `reply: Reply<R>`, to answer now or later;
/// * `#[one_way] fn` (or `async fn`): there is no answer; the client goes on when the message is on its way.
///
/// A method that returns `Result<T, E>` needs `E: From<CallError>`, and the client returns the same; any other
/// `T` is `Result<T, CallError>` at the client. Arguments and results implement `Encode` and `Decode`
/// (`#[derive(Wire)]`), and hold one `Capability` at most.
///
/// `#[interface(limit = 65536)]` sets the longest encoded message in bytes (default 1 MiB).
#[proc_macro_attribute]
pub fn interface(attributes: TokenStream, item: TokenStream) -> TokenStream {
    expand_interface(attributes.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Implements `Encode` and `Decode` for a struct or enum of such types.
#[proc_macro_derive(Wire)]
pub fn derive_wire(item: TokenStream) -> TokenStream {
    syn::parse2(item.into())
        .and_then(|input| wire::derive(&input))
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

fn expand_interface(
    attributes: proc_macro2::TokenStream,
    item: proc_macro2::TokenStream,
) -> syn::Result<proc_macro2::TokenStream> {
    let interface = parse::interface(syn::parse2(attributes)?, syn::parse2(item)?)?;
    let server = server::generate(&interface);
    let client = client::generate(&interface);
    Ok(quote::quote! { #server #client })
}
