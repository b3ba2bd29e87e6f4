//! Finds every ordering and fence in the source of `ringbuf`, by reading it.

use proc_macro2::Span;
use ringbuf::canary::{Canary, Half};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use syn::visit::{self, Visit};

/// One thing in the source that can be weakened.
#[derive(Debug, Clone)]
pub struct Site {
    /// Where and what.
    pub canary: Canary,
    /// A name that survives changes of other lines: file, function, operation, half, and which of
    /// several like that.
    pub name: String,
}

/// All sites in the `.rs` files of a folder, by place.
///
/// The folder `sync` and `barrier.rs` are left out: they are what the others call through, and
/// their callers are the sites. So are tests.
///
/// # Errors
/// If a file cannot be read or is not Rust.
pub fn sites(folder: &Path) -> io::Result<Vec<Site>> {
    let mut found = Vec::new();
    let mut files: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    files.sort_by_key(fs::DirEntry::file_name);
    for file in files {
        let path = file.path();
        let name = file.file_name().to_string_lossy().into_owned();
        if path.extension().is_none_or(|extension| extension != "rs") || name == "barrier.rs" {
            continue;
        }
        let text = fs::read_to_string(&path)?;
        let tree = syn::parse_file(&text)
            .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
        let mut scan =
            Scan { file: name, within: Vec::new(), seen: BTreeMap::new(), found: vec![] };
        scan.visit_file(&tree);
        found.append(&mut scan.found);
    }
    Ok(found)
}

struct Scan {
    file: String,
    /// The names of the type and the function that are being read.
    within: Vec<String>,
    /// How often each name was given.
    seen: BTreeMap<String, usize>,
    found: Vec<Site>,
}

impl Scan {
    fn add(&mut self, at: Span, operation: &str, half: Half) {
        let place = at.start();
        let canary = Canary {
            file: self.file.clone(),
            line: place.line as u32,
            column: place.column as u32 + 1,
            half,
        };
        let half = canary.to_string().rsplit('#').next().unwrap_or_default().to_owned();
        let what = if half == operation { half } else { format!("{operation} {half}") };
        let mut name = format!("{} {} {what}", self.file, self.within.join("::"));
        let count = self.seen.entry(name.clone()).or_insert(0);
        *count += 1;
        if *count > 1 {
            name = format!("{name} {count}");
        }
        self.found.push(Site { canary, name });
    }

    fn within(&mut self, name: String, read: impl FnOnce(&mut Self)) {
        self.within.push(name);
        read(self);
        self.within.pop();
    }
}

/// The `X` of `Ordering::X`.
fn ordering(argument: &syn::Expr) -> Option<String> {
    let syn::Expr::Path(path) = argument else {
        return None;
    };
    let segments: Vec<_> = path.path.segments.iter().map(|part| part.ident.to_string()).collect();
    match &segments[..] {
        [.., of, name] if of == "Ordering" => Some(name.clone()),
        _ => None,
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else {
            return attribute.path().is_ident("test");
        };
        list.path.is_ident("cfg") && list.tokens.to_string().contains("test")
    })
}

impl<'a> Visit<'a> for Scan {
    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'a syn::ItemImpl) {
        let name = match &*item.self_ty {
            syn::Type::Path(path) => path.path.segments.last().map(|part| part.ident.to_string()),
            _ => None,
        };
        self.within(name.unwrap_or_default(), |scan| visit::visit_item_impl(scan, item));
    }

    fn visit_impl_item_fn(&mut self, item: &'a syn::ImplItemFn) {
        self.within(item.sig.ident.to_string(), |scan| visit::visit_impl_item_fn(scan, item));
    }

    fn visit_item_fn(&mut self, item: &'a syn::ItemFn) {
        self.within(item.sig.ident.to_string(), |scan| visit::visit_item_fn(scan, item));
    }

    fn visit_expr_method_call(&mut self, call: &'a syn::ExprMethodCall) {
        let orders: Vec<_> = call.args.iter().filter_map(ordering).collect();
        let operation = call.method.to_string();
        let at = call.method.span();
        if let Some(order) = orders.first() {
            let acquires = matches!(&order[..], "Acquire" | "AcqRel" | "SeqCst");
            let releases = matches!(&order[..], "Release" | "AcqRel" | "SeqCst");
            if acquires && operation != "store" {
                self.add(at, &operation, Half::Load);
            }
            if releases && operation != "load" {
                self.add(at, &operation, Half::Store);
            }
        }
        if !orders.is_empty() && operation != "load" && operation != "store" {
            self.add(at, &operation, Half::Rmw);
        }
        if orders.get(1).is_some_and(|order| matches!(&order[..], "Acquire" | "SeqCst")) {
            self.add(at, &operation, Half::Failure);
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &'a syn::ExprCall) {
        if let syn::Expr::Path(path) = &*call.func {
            let parts = &path.path.segments;
            let name = parts.last().map(|part| part.ident.to_string());
            if let Some(name @ ("light" | "heavy" | "fence")) = name.as_deref() {
                let at = parts[0].ident.span();
                self.add(at, name, Half::Fence);
                let order = call.args.first().and_then(ordering);
                if name != "fence" || order.is_some_and(|order| order == "SeqCst") {
                    self.add(at, name, Half::AcqRel);
                }
            }
        }
        visit::visit_expr_call(self, call);
    }
}
