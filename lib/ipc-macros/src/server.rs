//! The server's side of an interface: the trait to implement, and the dispatch.

use crate::parse::{Interface, Method, Style};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Ident, Type};

pub(crate) fn generate(interface: &Interface) -> TokenStream {
    let server_trait = server_trait(interface);
    let server = server(interface);
    let service = service(interface);
    quote! { #server_trait #server #service }
}

fn server_trait(interface: &Interface) -> TokenStream {
    let Interface { docs, visibility, name, methods, .. } = interface;
    let methods = methods.iter().map(handler);
    quote! {
        #(#docs)*
        #visibility trait #name: 'static {
            #(#methods)*
            /// The client at the other end of this channel is gone; whatever it had here goes too.
            fn client_gone(&self, caller: &::ipc::Caller) {
                let _ = caller;
            }
        }
    }
}

fn handler(method: &Method) -> TokenStream {
    let Method { docs, name, result, .. } = method;
    let arguments = method.arguments.iter().map(|argument| {
        let (name, owned) = (&argument.name, &argument.owned);
        quote! { #name: #owned }
    });
    let inputs = quote! { &self, caller: &::ipc::Caller #(, #arguments)* };
    match method.style {
        Style::AtOnce => quote! { #(#docs)* fn #name(#inputs) -> #result; },
        Style::Async => quote! {
            #(#docs)*
            fn #name(#inputs) -> impl ::ipc::macros::Future<Output = #result>;
        },
        Style::Deferred => quote! {
            #(#docs)*
            fn #name(#inputs, reply: ::ipc::Reply<#result>);
        },
    }
}

fn server(interface: &Interface) -> TokenStream {
    let Interface { visibility, name, .. } = interface;
    let server = format_ident!("{name}Server");
    let title = format!("A server of [`{name}`]: an implementation, shared by all its channels.");
    quote! {
        #[doc = #title]
        #visibility struct #server<S> {
            service: ::ipc::macros::Arc<S>,
        }

        impl<S> Clone for #server<S> {
            fn clone(&self) -> Self {
                #server { service: self.service.clone() }
            }
        }

        impl<S: #name> #server<S> {
            /// A server of this implementation.
            pub fn new(service: S) -> Self {
                #server { service: ::ipc::macros::Arc::new(service) }
            }
            /// A server of an implementation that others hold too.
            pub fn shared(service: ::ipc::macros::Arc<S>) -> Self {
                #server { service }
            }
            /// The implementation.
            pub fn service(&self) -> &::ipc::macros::Arc<S> {
                &self.service
            }
            /// The server's end of a channel to `caller`, for the runtime to deliver packets to.
            pub fn open<P: ::ipc::Port>(
                &self,
                port: P,
                caller: ::ipc::Caller,
            ) -> ::ipc::macros::Arc<dyn ::ipc::Receiver> {
                ::ipc::serve(port, caller, self.clone())
            }
        }
    }
}

fn service(interface: &Interface) -> TokenStream {
    let Interface { name, limit, methods, .. } = interface;
    let server = format_ident!("{name}Server");
    let number = interface.number();
    let served = methods.iter().enumerate().map(|(index, method)| serve_arm(index, method));
    let run = methods.iter().enumerate().filter_map(|(index, method)| run_arm(index, method));
    quote! {
        impl<S: #name> ::ipc::Service for #server<S> {
            const INTERFACE: u64 = #number;
            const LIMIT: usize = #limit;

            #[inline]
            fn serve(
                &self,
                caller: &::ipc::Caller,
                request: &::ipc::Request,
                words: &mut ::ipc::wire::Words,
                replies: ::ipc::Replies<'_>,
            ) -> ::ipc::Served {
                let _ = (&caller, &words, &replies);
                match request.method() {
                    #(#served)*
                    _ => ::ipc::Served::Answer(request.unknown()),
                }
            }

            #[inline]
            fn run(
                self,
                caller: ::ipc::Caller,
                request: ::ipc::Request,
            ) -> impl ::ipc::macros::Future<Output = ::ipc::Answer> + 'static {
                async move {
                    let _ = &caller;
                    match request.method() {
                        #(#run)*
                        _ => request.unknown(),
                    }
                }
            }

            fn gone(&self, caller: &::ipc::Caller) {
                self.service.client_gone(caller);
            }
        }
    }
}

/// What the code for a method is made of.
struct Arm<'a> {
    index: u8,
    name: &'a Ident,
    /// Of the decoded arguments: they cannot clash with the names of the code around them.
    names: Vec<Ident>,
    tuple: TokenStream,
    result: &'a Type,
}

fn arm(index: usize, method: &Method) -> Arm<'_> {
    let names = (0..method.arguments.len()).map(|index| format_ident!("argument_{index}")).collect();
    let (tuple, result) = (method.owned_tuple(), &method.result);
    Arm { index: index as u8, name: &method.name, names, tuple, result }
}

fn serve_arm(index: usize, method: &Method) -> TokenStream {
    let Arm { index, name, names, tuple, result } = arm(index, method);
    match method.style {
        Style::AtOnce => quote! {
            #index => match request.arguments::<#tuple>() {
                Ok((#(#names,)*)) => {
                    let result: #result = self.service.#name(caller #(, #names)*);
                    ::ipc::at_once::<#result>(&result, words)
                }
                Err(answer) => ::ipc::Served::Answer(answer),
            },
        },
        Style::Async => quote! { #index => ::ipc::Served::Run, },
        Style::Deferred => quote! {
            #index => match replies.defer::<#tuple, #result>(request) {
                Ok(((#(#names,)*), reply)) => {
                    self.service.#name(caller #(, #names)*, reply);
                    ::ipc::Served::Later
                }
                Err(answer) => ::ipc::Served::Answer(answer),
            },
        },
    }
}

fn run_arm(index: usize, method: &Method) -> Option<TokenStream> {
    if method.style != Style::Async {
        return None;
    }
    let Arm { index, name, names, tuple, result } = arm(index, method);
    Some(quote! {
        #index => match request.arguments::<#tuple>() {
            Ok((#(#names,)*)) => {
                let result: #result = self.service.#name(&caller #(, #names)*).await;
                ::ipc::Answer::of::<#result>(&result)
            }
            Err(answer) => answer,
        },
    })
}
