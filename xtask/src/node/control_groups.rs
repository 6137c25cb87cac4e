//! The control groups of a node: the folders in which its kubelet makes those of pods.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Returns the folders with this name: one for each controller of version 1, or one of version 2.
fn folders(name: &str) -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    if root.join("cgroup.controllers").exists() {
        return vec![root.join(name)];
    }
    let controllers = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    controllers.filter(|path| path.join("cgroup.procs").exists()).map(|path| path.join(name)).collect()
}

/// Creates the groups of a node.
pub(crate) fn create(name: &str) -> anyhow::Result<()> {
    for folder in folders(name) {
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        let parent = folder.parent().unwrap_or(&folder);
        // Version 1 lets no process in before these are set.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if parent.join(file).exists() && folder.join("notify_on_release").exists() {
                let value = fs::read_to_string(parent.join(file)).with_context(|| format!("read {file}"))?;
                fs::write(folder.join(file), value).with_context(|| format!("write {file}"))?;
            }
        }
    }
    Ok(())
}

/// Removes the groups of a node with those of its pods. Fails if a process is in one of them.
pub(crate) fn remove(name: &str) -> anyhow::Result<()> {
    folders(name).iter().filter(|folder| folder.is_dir()).try_for_each(|folder| remove_group(folder))
}

/// Returns the folder of a container's memory group, in the groups of a node.
pub(crate) fn of_container(name: &str, container: &str) -> Option<PathBuf> {
    let roots = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"].map(|root| Path::new(root).join(name));
    roots.iter().filter(|root| root.is_dir()).find_map(|root| find_folder(root, container))
}

fn remove_group(folder: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_group(&entry.path())?;
        }
    }
    fs::remove_dir(folder).with_context(|| format!("remove {}", folder.display()))
}

fn find_folder(folder: &Path, name: &str) -> Option<PathBuf> {
    let folders =
        fs::read_dir(folder).ok()?.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut folders = folders.map(|entry| entry.path());
    folders.find_map(|path| if path.ends_with(name) { Some(path) } else { find_folder(&path, name) })
}
