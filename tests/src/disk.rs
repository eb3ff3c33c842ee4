//! What lies in the files of a pod's containers, read from outside: their image has no shell, and nobody should have to trust what a
//! program says about its own disk. Only where the node's processes are this machine's.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Larger than any journal, photo or bundle of a test: programs and libraries are passed over.
const MAX: u64 = 8 << 20;

/// Every file in the containers of the pod with this uid that runs now, by its path there.
pub fn files_of(pod: &str) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for process in fs::read_dir("/proc").expect("processes").flatten() {
        let root = process.path();
        let groups = fs::read_to_string(root.join("cgroup")).unwrap_or_default();
        if groups.contains(pod) || groups.contains(&pod.replace('-', "_")) {
            walk(&root.join("root"), Path::new("/"), &mut found);
        }
    }
    found
}

fn walk(root: &Path, at: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
    let inside = at.strip_prefix("/").unwrap_or(at);
    if ["proc", "sys", "dev", "usr", "lib", "lib64"].iter().any(|kept| inside == Path::new(kept)) {
        return;
    }
    for entry in fs::read_dir(root.join(inside)).into_iter().flatten().flatten() {
        let path = at.join(entry.file_name());
        match entry.metadata() {
            Ok(meta) if meta.is_dir() => walk(root, &path, found),
            Ok(meta) if meta.is_file() && meta.len() <= MAX => {
                let bytes = fs::read(entry.path()).unwrap_or_default();
                found.insert(path.display().to_string(), bytes);
            }
            _ => {}
        }
    }
}
