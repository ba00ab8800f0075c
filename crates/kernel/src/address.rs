//! Addresses of resources and modules, as Terraform writes them.

/// An address without the keys of `count` and `for_each`: what it is called in the configuration.
///
/// ```
/// assert_eq!(kernel::address::without_keys(r#"module.a["x]y"].null_resource.b[0]"#), "module.a.null_resource.b");
/// ```
pub fn without_keys(address: &str) -> String {
    let mut plain = String::with_capacity(address.len());
    let (mut inside, mut quoted, mut escaped) = (false, false, false);
    for c in address.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' if inside => quoted = !quoted,
            '[' if !quoted => inside = true,
            ']' if !quoted => inside = false,
            _ if !inside => plain.push(c),
            _ => {}
        }
    }
    plain
}
