//! What the functions of a block are called: `Payments::charge`, `<Payments as Gateway>::charge`.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::punctuated::Punctuated;
use syn::{
    GenericArgument, Generics, Ident, ItemImpl, ItemTrait, NamedArg, Path, PathArguments,
    PointerMutability, ReturnType, Token, Type, TypeParamBound,
};

use super::parse::Word;
use crate::attrs;

pub(crate) struct Owner {
    /// What stands in front of a function's own name.
    pub(crate) name: String,
    /// Whether `Self` is one type: not each that implements a trait.
    pub(crate) is_type: bool,
}

/// `None` where there is no owner, or it cannot be told.
pub(crate) fn owner(kind: Word, head: &TokenStream) -> Option<Owner> {
    let empty = quote!(#head {});
    match kind {
        Word::Impl => {
            let block: ItemImpl = syn::parse2(empty).ok()?;
            let params = params(&block.generics);
            let of = ty(&block.self_ty, &params);
            let name = match &block.trait_ {
                Some((name, _)) => format!("<{of} as {}>", path(name, &params)),
                // `<[T]>::len`, as it would be written.
                None if matches!(*block.self_ty, Type::Path(_)) => of,
                None => format!("<{of}>"),
            };
            let is_type = is_type(&block.self_ty, &params);
            Some(Owner { name, is_type })
        }
        Word::Trait => {
            let block: ItemTrait = syn::parse2(empty).ok()?;
            Some(Owner { name: block.ident.unraw().to_string(), is_type: false })
        }
        _ => None,
    }
}

fn is_type(of: &Type, params: &[Ident]) -> bool {
    match of {
        Type::Path(path) => !path.path.get_ident().is_some_and(|name| params.contains(name)),
        // A `$type:ty` of `macro_rules`.
        Type::Group(group) => is_type(&group.elem, params),
        Type::Paren(paren) => is_type(&paren.elem, params),
        _ => false,
    }
}

fn params(generics: &Generics) -> Vec<Ident> {
    let types = generics.type_params().map(|param| param.ident.clone());
    types.chain(generics.const_params().map(|param| param.ident.clone())).collect()
}

fn ty(of: &Type, params: &[Ident]) -> String {
    match of {
        Type::Path(named) if named.qself.is_none() => path(&named.path, params),
        Type::Reference(reference) => {
            let mutable = if reference.mutability.is_some() { "mut " } else { "" };
            format!("&{mutable}{}", ty(&reference.elem, params))
        }
        Type::Slice(slice) => format!("[{}]", ty(&slice.elem, params)),
        Type::Array(array) => {
            format!("[{}; {}]", ty(&array.elem, params), array.len.to_token_stream())
        }
        Type::Ptr(pointer) => {
            let kind = match &pointer.mutability {
                PointerMutability::Const(_) => "const",
                PointerMutability::Mut(_) => "mut",
            };
            format!("*{kind} {}", ty(&pointer.elem, params))
        }
        Type::Tuple(tuple) if tuple.elems.len() == 1 => {
            format!("({},)", ty(&tuple.elems[0], params))
        }
        Type::Tuple(tuple) => {
            let elems: Vec<String> = tuple.elems.iter().map(|elem| ty(elem, params)).collect();
            format!("({})", elems.join(", "))
        }
        Type::FnPtr(pointer) => {
            format!("fn{}", signature(&pointer.inputs, &pointer.output, params))
        }
        Type::TraitObject(object) => {
            let traits = object.bounds.iter().filter_map(|bound| match bound {
                TypeParamBound::Trait(bound) => Some(path(&bound.path, params)),
                _ => None,
            });
            format!("dyn {}", traits.collect::<Vec<_>>().join(" + "))
        }
        Type::Group(group) => ty(&group.elem, params),
        Type::Paren(paren) => ty(&paren.elem, params),
        other => other.to_token_stream().to_string(),
    }
}

fn signature(
    inputs: &Punctuated<NamedArg, Token![,]>,
    output: &ReturnType,
    params: &[Ident],
) -> String {
    let inputs: Vec<String> = inputs.iter().map(|input| ty(&input.ty, params)).collect();
    let output = match output {
        ReturnType::Default => String::new(),
        ReturnType::Type(_, output) => format!(" -> {}", ty(output, params)),
    };
    format!("({}){output}", inputs.join(", "))
}

/// The last word of a path, with those type arguments that tell two blocks apart: those that are no
/// parameters of the block itself.
fn path(path: &Path, params: &[Ident]) -> String {
    let Some(last) = path.segments.last() else { return String::new() };
    let name = last.ident.unraw().to_string();
    let arguments = match &last.arguments {
        PathArguments::None => return name,
        // `Fn(u8) -> bool`
        PathArguments::Parenthesized(call) => {
            return name + &signature(&call.inputs, &call.output, params);
        }
        PathArguments::AngleBracketed(arguments) => arguments,
    };
    if attrs::mentions(arguments.to_token_stream(), params) {
        return name;
    }
    let arguments: Vec<String> = arguments
        .args
        .iter()
        .filter_map(|argument| match argument {
            GenericArgument::Lifetime(_) => None,
            GenericArgument::Type(argument) => Some(ty(argument, params)),
            GenericArgument::AssocType(named) => {
                Some(format!("{} = {}", named.ident.unraw(), ty(&named.ty, params)))
            }
            other => Some(other.to_token_stream().to_string()),
        })
        .collect();
    if arguments.is_empty() { name } else { format!("{name}<{}>", arguments.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::{Word, owner};

    fn check(kind: Word, head: &str, expected: &str) {
        let owner = owner(kind, &head.parse().unwrap()).unwrap();
        assert_eq!(owner.name, expected, "{head}");
    }

    #[test]
    fn types_are_named_as_they_are_called() {
        for (head, expected) in [
            ("impl Payments", "Payments"),
            ("impl shop::Payments", "Payments"),
            ("impl<T: Send> Repo<T> where T: Sync", "Repo"),
            ("impl Repo<shop::Order>", "Repo<Order>"),
            ("impl<'a> Handler<'a>", "Handler"),
            ("impl<const N: usize> Ring<N>", "Ring"),
            ("impl Gateway for Payments", "<Payments as Gateway>"),
            ("impl From<io::Error> for Failed", "<Failed as From<Error>>"),
            ("impl<T> From<T> for Failed", "<Failed as From>"),
            ("unsafe impl<T> Gateway for &'static mut [T]", "<&mut [T] as Gateway>"),
            ("impl Gateway for (u8, r#Type)", "<(u8, Type) as Gateway>"),
            ("impl<T> [T]", "<[T]>"),
            ("impl<T: Named> Gateway for T", "<T as Gateway>"),
            ("impl Gateway for (u8,)", "<(u8,) as Gateway>"),
            ("impl Gateway for *const shop::Order", "<*const Order as Gateway>"),
            ("impl Gateway for [shop::Order; 2]", "<[Order; 2] as Gateway>"),
            ("impl Gateway for fn(u8, &str) -> bool", "<fn(u8, &str) -> bool as Gateway>"),
            ("impl<'a> dyn for<'b> shop::Plugin<'b, u8> + Send + 'a", "<dyn Plugin<u8> + Send>"),
            ("impl Gateway for Box<dyn Fn(u8) -> bool>", "<Box<dyn Fn(u8) -> bool> as Gateway>"),
            ("impl dyn Iterator<Item = shop::Order>", "<dyn Iterator<Item = Order>>"),
        ] {
            check(Word::Impl, head, expected);
        }
        check(Word::Trait, "pub(crate) unsafe trait Gateway<T>: Send where T: Copy", "Gateway");
        assert!(owner(Word::Mod, &"mod payments".parse().unwrap()).is_none());
    }
}
