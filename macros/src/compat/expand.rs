//! The function around the body: the site, the span's parent, fields and causes, the events at the end.

use proc_macro2::{Delimiter, Group, Literal, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::ext::IdentExt;

use super::fields;
use super::model::{Event, Mode, Model};
use super::tail::Tail;
use crate::instrumented::body::{self, Says};
use crate::instrumented::expand as plain;
use crate::instrumented::model::{Model as Plain, Output};
use crate::instrumented::parse::Function;
use crate::paths;

pub(crate) fn expand(model: &Model) -> TokenStream {
    let at = Span::mixed_site();
    let Plain { attrs, inner_attrs, vis, default, sig, .. } = &model.function;
    let inner_attrs = inner_attrs.iter().map(|attr| {
        let meta = &attr.meta;
        quote_spanned!(at=> #[#meta])
    });
    let statics = statics(model);
    let rest = match &model.tail {
        Some(tail) => ending_in_future(model, tail),
        None if sig.asyncness.is_some() => asynchronous(model),
        None => synchronous(model),
    };
    // The user's braces, so that the item spans from its first to its last token as written.
    let mut block = Group::new(Delimiter::Brace, quote_spanned!(at=> #statics #rest));
    block.set_span(model.braces);
    quote_spanned!(at=> #(#attrs)* #(#inner_attrs)* #vis #default #sig #block)
}

/// A `const fn`, with what tracing says of it: word for word, and in the same place, for who replaces the
/// import may look for that. Its callers find the function all the same.
pub(crate) fn refused(function: &Function) -> TokenStream {
    // As tracing writes it, without a semicolon, which the compiler has another message about.
    const MESSAGE: &str = "the `#[instrument]` attribute may not be used with `const fn`s";
    let at = Span::call_site();
    let Function { attrs, vis, default, sig, .. } = function;
    quote_spanned!(at=>
        ::core::compile_error!(#MESSAGE)
        #(#attrs)* #[allow(unused)] #vis #default #sig { loop {} }
    )
}

fn synchronous(model: &Model) -> TokenStream {
    let at = Span::mixed_site();
    let private = paths::private();
    let begin = begin(model);
    let call = match model.in_place {
        true => body::where_it_is(&model.function),
        false => body::sync(&model.function),
    };
    let entered = quote_spanned!(at=> #private::Started::enter(__redspan_started));
    if let Output::Never = model.function.output {
        // Nothing comes back: the call ends when unwinding drops it.
        return quote_spanned!(at=> #begin let __redspan_call = #entered; #call);
    }
    let judge = judge(model, &quote_spanned!(at=> &__redspan_out));
    let out = quote_spanned!(plain::promised(&model.function)=> __redspan_out);
    quote_spanned!(at=>
        #begin
        let mut __redspan_call = #entered;
        let __redspan_out = #call;
        #private::Call::finish(&mut __redspan_call, #judge);
        #out
    )
}

fn asynchronous(model: &Model) -> TokenStream {
    let at = Span::mixed_site();
    let private = paths::private();
    let begin = begin(model);
    let future = body::future(&model.function, None, Says::AsTracing);
    if let Output::Never = model.function.output {
        return quote_spanned!(at=>
            #begin
            match #private::drive(__redspan_started, #future, |__redspan_out| match *__redspan_out {})
                .await {}
        );
    }
    let judge = judge(model, &quote_spanned!(at=> __redspan_out));
    quote_spanned!(at=>
        #begin
        #private::drive(__redspan_started, #future, |__redspan_out| #judge).await
    )
}

/// The future that a function ends in, driven as the call. What stands before it stays as it is.
fn ending_in_future(model: &Model, tail: &Tail) -> TokenStream {
    let at = Span::mixed_site();
    let Tail { before, block, pin, .. } = tail;
    let mut inner = Group::new(Delimiter::Brace, asynchronous(model));
    inner.set_span(block.span());
    let future = quote_spanned!(at=> async move #inner);
    let future = match pin {
        Some(pin) => {
            let mut pinned = Group::new(Delimiter::Parenthesis, future);
            pinned.set_span(pin.span());
            pinned.into_token_stream()
        }
        None => future,
    };
    quote_spanned!(at=> #(#before)* #future)
}

/// The site, the events' sites, and tracing's warnings of what it does not know.
fn statics(model: &Model) -> TokenStream {
    let at = Span::mixed_site();
    let private = paths::private();
    let options = &model.options;
    let ident = &model.function.sig.ident;
    let name = match &options.name {
        Some(name) => name.clone(),
        None => Literal::string(&ident.to_string()).into_token_stream(),
    };
    let function = Literal::string(&ident.unraw().to_string());
    let target = target(model);
    // tracing's place: the attribute's, or that of the `macro_rules` macro's call which wrote it. Only
    // these know the latter.
    let file = quote_spanned!(at=> ::core::file!());
    let line = quote_spanned!(at=> ::core::line!());
    let event_name = quote_spanned!(at=> ::core::concat!("event ", #file, ":", #line));
    let level = level(model);
    let fields = fields::names(&options.fields);
    let rest = plain::rest(quote_spanned!(at=>
        target: ::core::option::Option::Some(#target), level: #level, follows_tracing: true,
    ));
    let site = plain::listed(&quote_spanned!(at=>
        name: #name, function: #function, module: ::core::module_path!(), file: #file, line: #line,
        fields: #fields, rest: #rest
    ));
    let event = |event: &Option<Event>, ident: &str, field: &str, default: TokenStream| {
        let event = event.as_ref()?;
        let ident = syn::Ident::new(ident, at);
        let level = event.level.clone().unwrap_or(default);
        Some(quote_spanned!(at=>
            static #ident: #private::EventSite = #private::EventSite::new(
                #event_name, #target, ::core::module_path!(), #file, #line, #level, &[#field],
                &#ident,
            );
        ))
    };
    let error = quote_spanned!(at=> #private::Level::ERROR);
    let err = event(&options.err, "__REDSPAN_ERR", "error", error);
    let ret = event(&options.ret, "__REDSPAN_RET", "return", level);
    let unknown = options.unknown.iter().map(|(span, text)| {
        let at = at.located_at(*span);
        // The one way to a warning on stable, as in tracing.
        quote_spanned!(at=>
            #[warn(deprecated)]
            {
                #[deprecated(note = #text)]
                const __REDSPAN_UNKNOWN: () = ();
                let _ = __REDSPAN_UNKNOWN;
            }
        )
    });
    quote_spanned!(at=> #site #err #ret #(#unknown)*)
}

fn target(model: &Model) -> TokenStream {
    let module = || quote_spanned!(Span::mixed_site()=> ::core::module_path!());
    model.options.target.clone().unwrap_or_else(module)
}

fn level(model: &Model) -> TokenStream {
    let private = paths::private();
    let info = || quote_spanned!(Span::mixed_site()=> #private::Level::INFO);
    model.options.level.clone().unwrap_or_else(info)
}

/// `let __redspan_started = …`: counted, its span opened where the options say, fields and causes
/// recorded.
fn begin(model: &Model) -> TokenStream {
    let at = Span::mixed_site();
    let private = paths::private();
    let options = &model.options;
    let fields = (!options.fields.is_empty()).then(|| {
        let values = fields::values(&options.fields);
        let peeks = plain::peeks(&model.function);
        quote_spanned!(at=> #peeks #private::Started::fields(&mut __redspan_started, #values);)
    });
    let causes = options.follows_from.as_ref().map(|causes| {
        quote_spanned!(at=>
            for __redspan_cause in #causes {
                #private::Started::follows_from(&mut __redspan_started, __redspan_cause);
            }
        )
    });
    let wanted = (fields.is_some() || causes.is_some()).then(|| {
        quote_spanned!(at=>
            if #private::Started::wants_fields(&__redspan_started) {
                #fields
                #causes
            }
        )
    });
    let mutable =
        (options.parent.is_some() || wanted.is_some()).then_some(quote_spanned!(at=> mut));
    match &options.parent {
        Some(parent) => quote_spanned!(at=>
            let #mutable __redspan_started = #private::counted(&__REDSPAN_SITE);
            if #private::Started::wants_span(&__redspan_started) {
                #private::Started::below(&mut __redspan_started, #parent);
            }
            #wanted
        ),
        None => quote_spanned!(at=>
            let #mutable __redspan_started = #private::begin(&__REDSPAN_SITE);
            #wanted
        ),
    }
}

/// The events of `err` and `ret`, then the verdict on the value.
fn judge(model: &Model, value: &TokenStream) -> TokenStream {
    let at = Span::mixed_site();
    let private = paths::private();
    let events = events(model, value);
    let verdict = if model.typed {
        let verdict = plain::verdict(&model.function, value);
        quote_spanned!(at=> #private::quiet(#verdict))
    } else {
        // Nothing tells whether the value is a `Result`, unless `err` does.
        match &model.options.err {
            Some(_) => {
                let verdict = quote_spanned!(at=> #private::by_result(#value));
                quote_spanned!(at=> #private::quiet(#verdict))
            }
            None => {
                quote_spanned!(at=> { let _ = #value; #private::Verdict::OK })
            }
        }
    };
    match events {
        Some(events) => quote_spanned!(at=> { #events #verdict }),
        None => verdict,
    }
}

fn events(model: &Model, value: &TokenStream) -> Option<TokenStream> {
    let at = Span::mixed_site();
    let private = paths::private();
    let shown = |mode: Mode, value: TokenStream, span: Span| {
        let place = at.located_at(span);
        let private = paths::private_at(place);
        match mode {
            Mode::Display => quote_spanned!(place=> #private::display(#value)),
            Mode::Debug => quote_spanned!(place=> #private::debug(#value)),
        }
    };
    let ret = |event: &Event, value: TokenStream| {
        let value = shown(event.mode.unwrap_or(Mode::Debug), value, event.span);
        quote_spanned!(at=> #private::EventSite::emit(&__REDSPAN_RET, &#value);)
    };
    let Some(err) = &model.options.err else {
        return model.options.ret.as_ref().map(|event| ret(event, value.clone()));
    };
    let place = at.located_at(err.span);
    // All in one place: what is wrong with the type is said twice there, and shown once.
    let error = quote_spanned!(place=> __redspan_error);
    let shown = shown(err.mode.unwrap_or(Mode::Display), error, err.span);
    let on_ok = model.options.ret.as_ref().map_or_else(
        || quote_spanned!(place=> ::core::result::Result::Ok(_) => {}),
        |event| {
            let ret = ret(event, quote_spanned!(place=> __redspan_ok));
            quote_spanned!(place=> ::core::result::Result::Ok(__redspan_ok) => { #ret })
        },
    );
    let private = paths::private_at(place);
    Some(quote_spanned!(place=>
        match #value {
            #on_ok
            ::core::result::Result::Err(__redspan_error) => {
                #private::failed(&__REDSPAN_SITE, &__REDSPAN_ERR, #shown);
            }
        }
    ))
}
