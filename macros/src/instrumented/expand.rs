//! The function around the body: the site, its entry in the link section, begin and finish.

use proc_macro2::{Delimiter, Group, Literal, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::spanned::Spanned;
use syn::{ReturnType, Signature, Token, Type};

use super::body::{Says, typed};
use super::form::{self, Form};
use super::model::{self, Judge, Model, Options, Output, Shared};
use super::params::{Param, Shape};
use super::returns::{self, Later, Wrap};
use super::{body, fields, labels, parse};
use crate::compat::tail::Tail;
use crate::paths;

pub(crate) fn expand(model: &Model) -> TokenStream {
    paths::set_root(model.options.root_path.as_ref());
    let at = Span::mixed_site();
    let Model { attrs, inner_attrs, vis, default, sig, .. } = model;
    let mut sig = sig.clone();
    let inner_attrs = inner_attrs.iter().map(|attr| {
        let meta = &attr.meta;
        quote_spanned!(at=> #[#meta])
    });
    let site = site(model);
    // The compiler takes a signature to reach from its first to its last token; if that is one of ours, what it
    // says of the whole is at the attribute, which may be that of a block.
    let mut end = None;
    let rest = match form::of(model) {
        Form::Sync => synchronous(model),
        Form::AsyncFn => {
            let driven = driven(model);
            let there = promised(model);
            match model.output {
                Output::Never => quote_spanned!(there=> match #driven.await {}),
                _ => quote_spanned!(there=> #driven.await),
            }
        }
        Form::OneCoroutine => {
            sig.asyncness = None;
            let there = promised(model);
            let output = match &sig.output {
                ReturnType::Default => quote_spanned!(there=> ()),
                ReturnType::Type(_, ty) => ty.to_token_stream(),
            };
            end = sig.generics.where_clause.is_none().then(|| Token![where](last(&model.sig)));
            // These tokens carry our edition, 2024: the future captures all lifetimes, as that of an
            // `async fn` does in any edition.
            sig.output = ReturnType::Type(
                Token![->](there),
                Box::new(Type::Verbatim(
                    quote_spanned!(there=> impl ::core::future::Future<Output = #output>),
                )),
            );
            driven(model)
        }
        Form::AsyncTail(tail, later) => ending(model, &tail, &later),
        Form::Later(later) => returning(model, &later),
    };
    // The user's braces, so that the item spans from its first to its last token as written.
    let mut block = Group::new(Delimiter::Brace, quote_spanned!(at=> #site #rest));
    block.set_span(model.body.span());
    quote_spanned!(at=> #(#attrs)* #(#inner_attrs)* #vis #default #sig #end #block)
}

/// The place of the signature's last token.
fn last(sig: &Signature) -> Span {
    let last = sig.output.to_token_stream().into_iter().last();
    last.map_or_else(|| sig.paren_token.span.close(), |last| last.span())
}

fn synchronous(model: &Model) -> TokenStream {
    let at = Span::mixed_site();
    let private = paths::private();
    let (begin, entered) = match begin(model, &peeks(model)) {
        Some(begin) => {
            (Some(begin), quote_spanned!(at=> #private::Started::enter(__redspan_started)))
        }
        None => (None, quote_spanned!(at=> #private::enter(&__REDSPAN_SITE))),
    };
    let call = body::sync(model);
    if let Output::Never = model.output {
        // Nothing comes back: the call ends when unwinding drops it.
        return quote_spanned!(at=> #begin let __redspan_call = #entered; #call);
    }
    let verdict = verdict(model, &quote_spanned!(at=> &__redspan_out));
    let there = promised(model);
    let out = quote_spanned!(there=> __redspan_out);
    quote_spanned!(at=>
        #begin
        let mut __redspan_call = #entered;
        let __redspan_out = #call;
        #private::Call::finish(&mut __redspan_call, #verdict);
        #out
    )
}

/// Where the returned type stands: a value that does not live as long as that says is reported there, since
/// for the compiler it is the driven future that is returned.
pub(crate) fn promised(model: &Model) -> Span {
    let place = match &model.sig.output {
        ReturnType::Default => model.sig.ident.span(),
        ReturnType::Type(_, ty) => ty.span(),
    };
    Span::mixed_site().located_at(place)
}

/// The future of an `async fn`: one coroutine, driven as a call.
fn driven(model: &Model) -> TokenStream {
    let at = Span::mixed_site();
    let verdict = match model.output {
        Output::Never => quote_spanned!(at=> match *__redspan_out {}),
        _ => verdict(model, &quote_spanned!(at=> __redspan_out)),
    };
    let future = |first| body::future(model, first, Says::Shortly);
    drive(begin(model, &peeks(model)), future, &verdict, promised(model))
}

/// The call begins with the first poll: the driver's work, unless the body has something to say of it.
pub(crate) fn drive(
    begin: Option<TokenStream>,
    future: impl FnOnce(Option<TokenStream>) -> TokenStream,
    verdict: &TokenStream,
    at: Span,
) -> TokenStream {
    let private = paths::private_at(at);
    let Some(begin) = begin else {
        let future = future(None);
        return quote_spanned!(at=>
            #private::drive_at(
                &__REDSPAN_SITE, #private::ManuallyDrop::new(#future), |__redspan_out| #verdict,
            )
        );
    };
    let first = quote_spanned!(at=> {
        #begin
        #private::hand_over(__redspan_started);
    });
    let future = future(Some(first));
    quote_spanned!(at=>
        #private::drive_handed(#private::ManuallyDrop::new(#future), |__redspan_out| #verdict)
    )
}

/// The `async` block that a function ends in, driven as the call. What stands before it stays.
fn ending(model: &Model, tail: &Tail, later: &Later) -> TokenStream {
    let at = Span::mixed_site();
    let Tail { before, block, pin, .. } = tail;
    let verdict = verdict(model, &quote_spanned!(at=> __redspan_out));
    let bound = body::bound(model);
    // The parameters are bound already; fields see what a pattern binds by reference.
    let peeks =
        typed(model).filter(|param| matches!(param.shape, Shape::Pattern(_))).map(|param| {
            let (attrs, names) = (&param.attrs, &param.recorded);
            quote_spanned!(at=> #(#attrs #[allow(unused_variables)] let #names = &#names;)*)
        });
    let output = returns::without_impl(later.output.clone());
    let future = |first| body::block(block, &output, first);
    let holds = model.options.service.is_none() && holds_receiver(model, tail);
    let (kept, shared) = match (shared(model), holds) {
        (Some(shared), false) => {
            let private = paths::private();
            let kept = quote_spanned!(at=>
                let __redspan_kept = #private::keep(&__REDSPAN_SITE, #shared);
            );
            (Some(kept), Some(quote_spanned!(at=> #private::held(&__redspan_kept))))
        }
        (shared, _) => (None, shared),
    };
    let begin = begin_of(model, shared, &peeks.collect());
    let driven = drive(begin, future, &verdict, promised(model));
    match pin {
        Some(pin) => {
            let mut pinned = Group::new(Delimiter::Parenthesis, driven);
            pinned.set_span(pin.span());
            quote_spanned!(at=> #bound #kept #(#before)* #pinned)
        }
        None => quote_spanned!(at=> #bound #kept #(#before)* #driven),
    }
}

/// Whether the block mentions the receiver. One that does not may live longer than that, and must not
/// begin to hold it; without a receiver there is nothing to hold.
fn holds_receiver(model: &Model, tail: &Tail) -> bool {
    receiver(model).is_none_or(|token| {
        syn::parse2::<Token![self]>(token.clone())
            .is_ok_and(|token| parse::mentions(&tail.block.stream(), &token.into()))
    })
}

fn receiver(model: &Model) -> Option<&TokenStream> {
    model.params.iter().find_map(|param| match param {
        Param::Receiver { token, .. } => Some(token),
        Param::Typed(_) => None,
    })
}

/// The future or the stream that a function returns, driven as the call.
fn returning(model: &Model, later: &Later) -> TokenStream {
    let at = Span::mixed_site();
    let private = paths::private();
    let verdict = verdict(model, &quote_spanned!(at=> __redspan_out));
    let made = body::sync(model);
    let made = match later.wrap {
        // A box is itself polled only if what is in it may be moved.
        Wrap::Boxed => quote_spanned!(at=> #private::Box::into_pin(#made)),
        Wrap::Bare | Wrap::Pinned => made,
    };
    // By its type: the value alone may leave that open, as `ready(1)` does.
    let output = returns::without_impl(later.output.clone());
    let gives = syn::Ident::new(if later.stream { "items" } else { "gives" }, at);
    let body = quote_spanned!(at=>
        #private::ManuallyDrop::new(#private::#gives::<#output, _>(#made)), |__redspan_out| #verdict
    );
    // Here, since what is polled holds nothing of it.
    let prepared = said(model, shared(model)).map(|Said { service, labels, links }| {
        let service = service.unwrap_or_else(|| quote_spanned!(at=> ::core::option::Option::None));
        let peeks = peeks(model);
        quote_spanned!(at=>
            let __redspan_prepared = { #peeks #private::prepare(&__REDSPAN_SITE, #service, #labels, #links) };
        )
    });
    let driven = match (&prepared, later.stream) {
        (None, false) => quote_spanned!(at=> #private::drive_at(&__REDSPAN_SITE, #body)),
        (Some(_), false) => quote_spanned!(at=>
            #private::drive_prepared(&__REDSPAN_SITE, __redspan_prepared, #body)
        ),
        (None, true) => quote_spanned!(at=>
            #private::drive_stream(&__REDSPAN_SITE, ::core::option::Option::None, #body)
        ),
        (Some(_), true) => quote_spanned!(at=>
            #private::drive_stream(&__REDSPAN_SITE, __redspan_prepared, #body)
        ),
    };
    let driven = match later.wrap {
        Wrap::Bare => driven,
        Wrap::Pinned => quote_spanned!(at=> #private::Box::pin(#driven)),
        Wrap::Boxed => quote_spanned!(at=> #private::Box::new(#driven)),
    };
    quote_spanned!(at=> #prepared #driven)
}

pub(crate) fn site(model: &Model) -> TokenStream {
    let at = Span::mixed_site();
    let ident = &model.sig.ident;
    let function = model.function();
    let name = Literal::string(model.options.name.as_ref().unwrap_or(&function));
    let function = Literal::string(&function);
    let (file, line) = paths::position(ident.span());
    let (file, line) = (Literal::string(&file), Literal::u32_unsuffixed(line));
    let (statics, settings) = settings(model);
    let fields = fields::names(&model.options.fields);
    let rest = rest(settings);
    let site = listed(&quote_spanned!(at=>
        name: #name, function: #function, module: ::core::module_path!(), file: #file, line: #line,
        fields: #fields, rest: #rest
    ));
    quote_spanned!(at=> #statics #site)
}

/// What a site says otherwise than most; those name a constant for it.
pub(crate) fn rest(settings: TokenStream) -> TokenStream {
    let at = Span::mixed_site();
    let private = paths::private();
    if settings.is_empty() {
        return quote_spanned!(at=> #private::REST);
    }
    quote_spanned!(at=>
        #private::Rest::of(#private::Settings { #settings ..#private::SETTINGS })
    )
}

/// Where the linker makes a list of the sites. Nothing in it is the function's, so the compiler reads it
/// as a text: token by token it would be half of what the expansion costs.
const LISTED: &str = r#"
    #[used]
    #[cfg_attr(
        any(
            target_os = "linux", target_os = "android", target_os = "freebsd",
            target_os = "netbsd", target_os = "openbsd", target_os = "dragonfly",
            target_os = "illumos"
        ),
        unsafe(link_section = "redspan_sites")
    )]
    #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,redspan_sites"))]
    #[cfg_attr(windows, unsafe(link_section = ".rdspn$b"))]
    static __REDSPAN_SITE:
"#;

/// A site as a static.
pub(crate) fn listed(fields: &TokenStream) -> TokenStream {
    let at = Span::mixed_site();
    let private = paths::private();
    let mut site = paths::text(LISTED);
    site.extend(quote_spanned!(at=> #private::CallSite = #private::CallSite { #fields };));
    site
}

/// What few sites have: statics, and the fields of the site's settings.
fn settings(model: &Model) -> (TokenStream, TokenStream) {
    let at = Span::mixed_site();
    let private = paths::private();
    let options = &model.options;
    let (mut statics, mut settings) = (TokenStream::new(), TokenStream::new());
    let level = options.level();
    if level != "INFO" {
        settings.extend(quote_spanned!(at=> level: #private::Level::#level,));
    }
    let kind = options.kind();
    if kind != "Internal" {
        settings.extend(quote_spanned!(at=> kind: #private::Kind::#kind,));
    }
    if let Some(share) = options.sample {
        let share = Literal::f64_suffixed(share);
        settings.extend(quote_spanned!(at=> sample: ::core::option::Option::Some(#share),));
    }
    if !options.labels.is_empty() {
        let given = labels::names(&options.labels, false);
        let returned = labels::names(&options.labels, true);
        settings.extend(quote_spanned!(at=> given: #given, returned: #returned,));
    }
    let function = model.function();
    if let Some((slo, with)) = options.slo.expand(options.name.as_ref().unwrap_or(&function)) {
        statics.extend(slo);
        settings.extend(with);
    }
    if let Some(level) = options.log {
        let level = model::level(level);
        let (file, line) = paths::position(model.sig.ident.span());
        let (file, line) = (Literal::string(&file), Literal::u32_unsuffixed(line));
        statics.extend(quote_spanned!(at=>
            static __REDSPAN_LINE: #private::Line = #private::Line::new(
                #private::Level::#level, ::core::module_path!(), #file, #line, &__REDSPAN_LINE,
            );
        ));
        settings.extend(quote_spanned!(at=> line: ::core::option::Option::Some(&__REDSPAN_LINE),));
    }
    for (said, setting, is) in [
        (options.root, "root", true),
        (options.busy.is_some(), "busy", true),
        (options.type_only, "error_type_only", true),
        (options.no_metrics, "metrics", false),
        (options.no_span, "span", false),
    ] {
        let setting = syn::Ident::new(setting, at);
        settings.extend(said.then(|| quote_spanned!(at=> #setting: #is,)));
    }
    (statics, settings)
}

// Methods are called by path: a trait of the user for every `T` may have a method of that name.

/// What is said of a call beside its fields.
struct Said {
    service: Option<TokenStream>,
    labels: TokenStream,
    links: TokenStream,
}

/// `None` if that is nothing.
fn said(model: &Model, service: Option<TokenStream>) -> Option<Said> {
    let at = Span::mixed_site();
    let Options { labels, links, .. } = &model.options;
    let given = labels.iter().any(|label| !label.is_returned());
    if !given && links.is_empty() && service.is_none() {
        return None;
    }
    let links = links.iter().map(|link| {
        let place = at.located_at(link.span());
        let private = paths::private_at(place);
        quote_spanned!(place=> #private::link(&(#link)))
    });
    let links = quote_spanned!(at=> &[#(#links),*]);
    Some(Said { service, labels: labels::choices(labels, None), links })
}

/// `let __redspan_started = …`, with the fields recorded; `None` if there is nothing to say.
pub(crate) fn begin(model: &Model, peeks: &TokenStream) -> Option<TokenStream> {
    begin_of(model, shared(model), peeks)
}

fn begin_of(
    model: &Model,
    service: Option<TokenStream>,
    peeks: &TokenStream,
) -> Option<TokenStream> {
    let at = Span::mixed_site();
    let private = paths::private();
    let fields = &model.options.fields;
    let recorded = fields.iter().any(|field| field.value.tokens().is_some());
    let said = said(model, service);
    if !recorded && said.is_none() {
        return None;
    }
    let values = fields::values(fields);
    let begin = match said {
        None => quote_spanned!(at=> #private::begin(&__REDSPAN_SITE)),
        Some(Said { service, labels, links }) => {
            let begin = match service {
                None => quote_spanned!(at=> #private::begin_with(&__REDSPAN_SITE, #labels, #links)),
                Some(service) => quote_spanned!(at=>
                    #private::begin_of(&__REDSPAN_SITE, #service, #labels, #links)
                ),
            };
            quote_spanned!(at=> { #peeks #begin })
        }
    };
    if !recorded {
        return Some(quote_spanned!(at=> let __redspan_started = #begin;));
    }
    Some(quote_spanned!(at=>
        let mut __redspan_started = #begin;
        if #private::Started::wants_fields(&__redspan_started) {
            #peeks
            #private::Started::fields(&mut __redspan_started, #values);
        }
    ))
}

/// What the service says whose method it is, if its type is one. `Self` is named by its own word: a
/// receiver may be anything that leads to it.
fn shared(model: &Model) -> Option<TokenStream> {
    let at = Span::mixed_site();
    if let Some(service) = &model.options.service {
        let place = at.located_at(service.span());
        let private = paths::private_at(place);
        return Some(quote_spanned!(place=> #private::service::of(&(#service))));
    }
    let private = paths::private();
    let this = Token![Self](model.sig.ident.span());
    match (model.shared, receiver(model)) {
        (Shared::Nothing, _) => None,
        (Shared::Receiver, Some(receiver)) => Some(quote_spanned!(at=> {
            use #private::service::{ViaNobody as _, ViaService as _};
            (&&#private::service::Of::<#this>(&#receiver)).__redspan_shared()
        })),
        _ => Some(quote_spanned!(at=> {
            use #private::service::{ViaNobody as _, ViaService as _};
            (&&#private::service::Named::<#this>::NEW).__redspan_shared()
        })),
    }
}

/// What fields mention of the parameters' patterns, bound by reference.
pub(crate) fn peeks(model: &Model) -> TokenStream {
    let at = Span::mixed_site();
    let peeks = typed(model).filter_map(|param| match &param.shape {
        Shape::Pattern(Some(peek)) => {
            let (attrs, outer) = (&param.attrs, &param.outer);
            // The name may be mentioned without being used, in a string or as a method.
            Some(quote_spanned!(at=> #attrs #[allow(unused_variables)] let #peek = &#outer;))
        }
        _ => None,
    });
    peeks.collect()
}

/// Whether the returned value is an error.
pub(crate) fn verdict(model: &Model, value: &TokenStream) -> TokenStream {
    let at = Span::mixed_site();
    let private = paths::private();
    let judged = judged(model, value);
    let labels = &model.options.labels;
    if !labels.iter().any(labels::Label::is_returned) {
        return judged;
    }
    let choices = labels::choices(labels, Some(value));
    // A path in place of a label's closure would be a value.
    quote_spanned!(at=> {
        let __redspan_verdict = #judged;
        #[allow(clippy::redundant_closure, clippy::redundant_closure_for_method_calls)]
        #private::pick(&__REDSPAN_SITE, #choices);
        __redspan_verdict
    })
}

fn judged(model: &Model, value: &TokenStream) -> TokenStream {
    let at = Span::mixed_site();
    let private = paths::private();
    let found = quote_spanned!(at=> {
        use #private::classify::*;
        #private::Returned(#value).__redspan_verdict()
    });
    // Only who builds with a protocol pays for the question.
    let found = match cfg!(feature = "answers") {
        false => found,
        true => quote_spanned!(at=> #private::Verdict::answered(#found, {
            use #private::answer::*;
            (&&&&&#private::Returned(#value)).__redspan_answer()
        })),
    };
    let (predicate, not) = match &model.options.judge {
        // No question, and nothing for the compiler to answer.
        None if form::never_fails(model) => return quote_spanned!(at=> #private::fine()),
        None => return found,
        Some(Judge::OkIf(predicate)) => (predicate, Some(quote_spanned!(at=> !))),
        Some(Judge::ErrorIf(predicate)) => (predicate, None),
        Some(Judge::NoneIsError(place)) => {
            // The value as well, or a message would begin at the whole attribute.
            let place = at.located_at(*place);
            let private = paths::private_at(place);
            let value = value.clone().into_iter().map(|mut token| {
                token.set_span(place);
                token
            });
            return quote_spanned!(place=> #private::absent(#(#value)*, #found));
        }
    };
    let place = at.located_at(predicate.span());
    let private_there = paths::private_at(place);
    let holds = quote_spanned!(place=> #private_there::holds(#value, #predicate));
    quote_spanned!(at=> #private::judged(#not #holds, #found))
}
