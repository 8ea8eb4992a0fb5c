//! Reads an interface trait, and says what is wrong with one.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Attribute, Error, FnArg, Ident, ItemTrait, Pat, Result, ReturnType, TraitItem, Type};

/// Most methods of an interface: the number travels in a byte.
const MAX_METHODS: usize = 256;
/// Most arguments of a method: tuples up to this length can travel.
const MAX_ARGUMENTS: usize = 8;

/// How a handler answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Style {
    AtOnce,
    Async,
    Deferred,
}

pub(crate) struct Argument {
    pub(crate) name: Ident,
    /// As declared: what the client passes.
    pub(crate) declared: Type,
    /// What the server gets.
    pub(crate) owned: TokenStream,
}

pub(crate) struct Method {
    pub(crate) docs: Vec<Attribute>,
    pub(crate) name: Ident,
    pub(crate) style: Style,
    pub(crate) one_way: bool,
    pub(crate) arguments: Vec<Argument>,
    pub(crate) result: Type,
}

impl Method {
    /// The types that travel, as a tuple.
    pub(crate) fn owned_tuple(&self) -> TokenStream {
        let owned = self.arguments.iter().map(|argument| &argument.owned);
        quote! { (#(#owned,)*) }
    }
    /// The arguments' names.
    pub(crate) fn names(&self) -> Vec<&Ident> {
        self.arguments.iter().map(|argument| &argument.name).collect()
    }
    /// Whether the declared result is a `Result`, so that a failed call fits in.
    pub(crate) fn returns_result(&self) -> bool {
        let Type::Path(path) = &self.result else { return false };
        let Some(last) = path.path.segments.last() else { return false };
        let syn::PathArguments::AngleBracketed(types) = &last.arguments else { return false };
        last.ident == "Result" && types.args.len() == 2
    }
}

pub(crate) struct Interface {
    pub(crate) docs: Vec<Attribute>,
    pub(crate) visibility: syn::Visibility,
    pub(crate) name: Ident,
    pub(crate) limit: TokenStream,
    pub(crate) methods: Vec<Method>,
}

impl Interface {
    /// A hash (FNV-1a) of everything that both ends must agree on.
    pub(crate) fn number(&self) -> u64 {
        let mut text = self.name.to_string();
        for method in &self.methods {
            let way = if method.one_way { "!" } else { "" };
            let result = method.result.to_token_stream();
            text += &format!(";{}{way}{}->{result}", method.name, method.owned_tuple());
        }
        text.bytes()
            .filter(|byte| *byte != b' ')
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }
}

/// The arguments of the attribute.
pub(crate) struct Options {
    limit: Option<syn::Expr>,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Options> {
        if input.is_empty() {
            return Ok(Options { limit: None });
        }
        let key: Ident = input.parse()?;
        if key != "limit" {
            return Err(Error::new(key.span(), "the only option is `limit = <bytes>`"));
        }
        input.parse::<syn::Token![=]>()?;
        let limit = Some(input.parse()?);
        input.parse::<Option<syn::Token![,]>>()?;
        Ok(Options { limit })
    }
}

pub(crate) fn interface(options: Options, item: ItemTrait) -> Result<Interface> {
    if !item.generics.params.is_empty() || item.generics.where_clause.is_some() {
        return Err(Error::new(item.generics.span(), "an interface cannot be generic"));
    }
    if let Some(bound) = item.supertraits.first() {
        return Err(Error::new(bound.span(), "an interface cannot have supertraits"));
    }
    if item.items.len() > MAX_METHODS {
        return Err(Error::new(item.ident.span(), "an interface has at most 256 methods"));
    }
    let methods = item.items.into_iter().map(method).collect::<Result<Vec<_>>>()?;
    let limit = match options.limit {
        Some(limit) => quote! { #limit },
        None => quote! { ::ipc::DEFAULT_LIMIT },
    };
    let (docs, visibility, name) = (item.attrs, item.vis, item.ident);
    Ok(Interface { docs, visibility, name, limit, methods })
}

fn method(item: TraitItem) -> Result<Method> {
    let TraitItem::Fn(function) = item else {
        return Err(Error::new(item.span(), "an interface holds methods only"));
    };
    if let Some(body) = function.default {
        return Err(Error::new(body.span(), "a method of an interface has no body"));
    }
    let signature = function.sig;
    if !signature.generics.params.is_empty() || signature.generics.where_clause.is_some() {
        return Err(Error::new(signature.generics.span(), "a method of an interface cannot be generic"));
    }
    if signature.ident == "client_gone" {
        return Err(Error::new(
            signature.ident.span(),
            "`client_gone` is the name of a method that every server has",
        ));
    }
    let (flags, docs): (Vec<_>, Vec<_>) = function
        .attrs
        .into_iter()
        .partition(|a| a.path().is_ident("deferred") || a.path().is_ident("one_way"));
    let deferred = flags.iter().any(|flag| flag.path().is_ident("deferred"));
    let one_way = flags.iter().any(|flag| flag.path().is_ident("one_way"));
    if deferred && (one_way || signature.asyncness.is_some()) {
        return Err(Error::new(
            signature.span(),
            "a `deferred` method is neither `async` nor `one_way`: its reply is stored",
        ));
    }
    let style = match (deferred, signature.asyncness.is_some()) {
        (true, _) => Style::Deferred,
        (_, true) => Style::Async,
        _ => Style::AtOnce,
    };
    let result = result(signature.output, one_way)?;
    let arguments = arguments(&signature.ident, signature.inputs)?;
    Ok(Method { docs, name: signature.ident, style, one_way, arguments, result })
}

fn result(output: ReturnType, one_way: bool) -> Result<Type> {
    match output {
        ReturnType::Default => Ok(syn::parse_quote! { () }),
        ReturnType::Type(_, result) if one_way => {
            Err(Error::new(result.span(), "a `one_way` method has no result"))
        }
        ReturnType::Type(_, result) => match *result {
            Type::Reference(_) | Type::ImplTrait(_) => {
                Err(Error::new(result.span(), "a result must be an owned type that can be received"))
            }
            result => Ok(result),
        },
    }
}

fn arguments(
    method: &Ident,
    inputs: syn::punctuated::Punctuated<FnArg, syn::Token![,]>,
) -> Result<Vec<Argument>> {
    let mut inputs = inputs.into_iter();
    match inputs.next() {
        Some(FnArg::Receiver(receiver))
            if receiver.reference.is_some()
                && receiver.mutability.is_none()
                && receiver.colon_token.is_none() => {}
        _ => {
            return Err(Error::new(
                method.span(),
                "a method of an interface takes `&self` first: a server has many clients at once",
            ));
        }
    }
    let arguments = inputs.map(argument).collect::<Result<Vec<_>>>()?;
    if arguments.len() > MAX_ARGUMENTS {
        return Err(Error::new(method.span(), "a method has at most 8 arguments: use a struct"));
    }
    Ok(arguments)
}

fn argument(input: FnArg) -> Result<Argument> {
    let FnArg::Typed(input) = input else {
        return Err(Error::new(input.span(), "only the first argument is `self`"));
    };
    let Pat::Ident(name) = *input.pat else {
        return Err(Error::new(input.pat.span(), "an argument of an interface is a plain name"));
    };
    if ["caller", "reply"].iter().any(|taken| name.ident == taken) {
        return Err(Error::new(
            name.ident.span(),
            "`caller` and `reply` are names of arguments that handlers get",
        ));
    }
    let owned = owned(&input.ty)?;
    Ok(Argument { name: name.ident, declared: *input.ty, owned })
}

/// What the server gets for an argument of this type.
fn owned(declared: &Type) -> Result<TokenStream> {
    let reference = match declared {
        Type::Reference(reference) => reference,
        Type::ImplTrait(_) => {
            return Err(Error::new(declared.span(), "an argument needs one type on both ends"));
        }
        _ => return Ok(declared.to_token_stream()),
    };
    if reference.mutability.is_some() {
        return Err(Error::new(
            declared.span(),
            "an argument travels one way: return the changed value instead of `&mut`",
        ));
    }
    match &*reference.elem {
        Type::Slice(slice) => {
            let element = &slice.elem;
            Ok(quote! { ::ipc::macros::Vec<#element> })
        }
        Type::Path(path) if path.path.is_ident("str") => Ok(quote! { ::ipc::macros::String }),
        element => Ok(element.to_token_stream()),
    }
}
