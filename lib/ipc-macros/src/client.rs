//! The client's side of an interface: a stub with a blocking and an async form of every method.

use crate::parse::{Interface, Method};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};

pub(crate) fn generate(interface: &Interface) -> TokenStream {
    let Interface { visibility, name, limit, methods, .. } = interface;
    let client = format_ident!("{name}Client");
    let title = format!("A client of [`{name}`] over a port. Clones share the channel.");
    let text = name.to_string();
    let number = interface.number();
    let methods = methods.iter().enumerate().map(|(index, method)| stub(index, method));
    quote! {
        #[doc = #title]
        #visibility struct #client<P: ::ipc::Port> {
            client: ::ipc::macros::Arc<::ipc::Client<P>>,
        }

        impl<P: ::ipc::Port> Clone for #client<P> {
            fn clone(&self) -> Self {
                #client { client: self.client.clone() }
            }
        }

        impl<P: ::ipc::Port> ::ipc::Stub<P> for #client<P> {
            const NAME: &'static str = #text;
            const INTERFACE: u64 = #number;
            const LIMIT: usize = #limit;
            fn over(client: ::ipc::macros::Arc<::ipc::Client<P>>) -> Self {
                #client { client }
            }
            fn client(&self) -> &::ipc::macros::Arc<::ipc::Client<P>> {
                &self.client
            }
        }

        impl<P: ::ipc::Port> #client<P> {
            /// A client over this port, which must be connected.
            pub fn new(port: P) -> Self {
                let (number, limit) = (
                    <Self as ::ipc::Stub<P>>::INTERFACE,
                    <Self as ::ipc::Stub<P>>::LIMIT,
                );
                let client = ::ipc::Client::new(port, number, limit);
                #client { client: ::ipc::macros::Arc::new(client) }
            }
            #(#methods)*
        }
    }
}

fn stub(index: usize, method: &Method) -> TokenStream {
    let Method { docs, name, result, .. } = method;
    let index = index as u8;
    let name_async = format_ident!("{name}_async");
    let names = method.names();
    let inputs = method.arguments.iter().map(|argument| {
        let (name, declared) = (&argument.name, &argument.declared);
        quote! { #name: #declared }
    });
    let inputs = quote! { &self #(, #inputs)* };
    let tuple = quote! { &(#(#names,)*) };
    let (output, flatten) = if method.returns_result() {
        (
            quote! { #result },
            quote! {
                match outcome {
                    Ok(result) => result,
                    Err(error) => Err(::core::convert::From::<::ipc::CallError>::from(error)),
                }
            },
        )
    } else {
        (quote! { ::core::result::Result<#result, ::ipc::CallError> }, quote! { outcome })
    };
    let (blocking, asynchronous) = if method.one_way {
        (quote! { notify(#index, #tuple) }, quote! { notify_async(#index, #tuple) })
    } else {
        (quote! { call::<_, #result>(#index, #tuple) }, quote! { call_async::<_, #result>(#index, #tuple) })
    };
    let note = format!("As [`Self::{name}`], as a future; dropping it cancels the request.");
    quote! {
        #(#docs)*
        #[inline]
        pub fn #name(#inputs) -> #output {
            let outcome = self.client.#blocking;
            #flatten
        }
        #[doc = #note]
        pub fn #name_async(#inputs) -> impl ::ipc::macros::Future<Output = #output> + use<P> {
            let call = self.client.#asynchronous;
            async move {
                let outcome = call.await;
                #flatten
            }
        }
    }
}
