//! Requests: each has one answer, and an error as the answer if nothing else fits.

use std::collections::BTreeMap;
use std::path::Path;

use gen_lsp_types as lsp;
use lsp_server::{ErrorCode, Request, Response, ResponseError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::features::rename::Edits;
use crate::features::{Site, completion, definition, fixes, hover, rename};
use crate::position::{path_of, span_at};
use crate::server::Server;
use crate::workspace::Workspace;

impl Server {
    pub(super) fn answer(&self, request: Request) -> Response {
        match request.method.as_str() {
            "textDocument/definition" => answered(request, |params: lsp::DefinitionParams| {
                Ok(self.at(&params.text_document_position_params, definition::definition).flatten())
            }),
            "textDocument/references" => answered(request, |params: lsp::ReferenceParams| {
                let with_definition = params.context.include_declaration;
                let at = &params.text_document_position_params;
                Ok(self.at(at, |site| definition::references(site, with_definition)))
            }),
            "textDocument/documentHighlight" => answered(request, |params: lsp::DocumentHighlightParams| {
                Ok(self.at(&params.text_document_position_params, definition::highlights))
            }),
            "textDocument/hover" => answered(request, |params: lsp::HoverParams| {
                Ok(self.at(&params.text_document_position_params, hover::hover).flatten())
            }),
            "textDocument/completion" => answered(request, |params: lsp::CompletionParams| {
                Ok(self.at(&params.text_document_position_params, completion::completion))
            }),
            "textDocument/prepareRename" => answered(request, |params: lsp::PrepareRenameParams| {
                let prepared = self.at(&params.text_document_position_params, rename::prepare).flatten();
                Ok(prepared.map(|(range, placeholder)| lsp::PrepareRenamePlaceholder { range, placeholder }))
            }),
            "textDocument/rename" => answered(request, |params: lsp::RenameParams| self.rename(&params)),
            "textDocument/codeAction" => answered(request, |params: lsp::CodeActionParams| Ok(self.fixes(&params))),
            "workspace/willRenameFiles" => answered(request, |params: lsp::RenameFilesParams| Ok(self.moved(&params))),
            method => {
                let message = format!("there is no request `{method}`");
                Response::new_err(request.id, ErrorCode::MethodNotFound as i32, message)
            }
        }
    }

    /// Calls `of` with a place of a document; `None` if the document is in no workspace.
    fn at<R>(&self, at: &lsp::TextDocumentPositionParams, of: impl FnOnce(Site<'_>) -> R) -> Option<R> {
        let (workspace, path) = self.document(&at.text_document.uri)?;
        Site::new(workspace, &path, at.position).map(of)
    }

    fn document(&self, uri: &lsp::Uri) -> Option<(&Workspace, String)> {
        let absolute = path_of(uri)?;
        let workspace = self.around(&absolute)?;
        Some((workspace, workspace.path_of(&absolute)?))
    }

    fn rename(&self, params: &lsp::RenameParams) -> Result<Option<lsp::WorkspaceEdit>, ResponseError> {
        let forms = self.client.edits;
        let at = &params.text_document_position_params;
        let renamed = self.at(at, |site| rename::rename(site, &params.new_name, forms));
        renamed.transpose().map_err(|message| failed(ErrorCode::RequestFailed, message))
    }

    fn fixes(&self, params: &lsp::CodeActionParams) -> Vec<lsp::CodeAction> {
        let Some((workspace, path)) = self.document(&params.text_document.uri) else { return Vec::new() };
        let Some(bytes) = workspace.bytes(&path) else { return Vec::new() };
        let span = span_at(bytes, params.range);
        fixes::fixes(workspace, &path, span, self.docs.as_deref())
    }

    /// Returns the edits of the mentions of files that the client is about to rename.
    fn moved(&self, params: &lsp::RenameFilesParams) -> Option<lsp::WorkspaceEdit> {
        let mut all: BTreeMap<&Path, (&Workspace, Edits)> = BTreeMap::new();
        for file in &params.files {
            let Some((workspace, old)) = self.document(&file.old_uri) else { continue };
            let Some(new) = path_of(&file.new_uri).and_then(|new| workspace.path_of(&new)) else { continue };
            if let Some(edits) = rename::moved(workspace, &old, &new) {
                let (_, known) = all.entry(workspace.root()).or_insert_with(|| (workspace, Edits::new()));
                rename::merge(known, edits);
            }
        }
        let all: Vec<_> = all.into_values().collect();
        (!all.is_empty()).then(|| rename::workspace_edit(&all, self.client.edits))
    }
}

/// Answers a request, or refuses its parameters.
fn answered<P: DeserializeOwned, R: Serialize>(
    request: Request,
    answer: impl FnOnce(P) -> Result<R, ResponseError>,
) -> Response {
    let Request { id, params, method } = request;
    let params = serde_json::from_value(params)
        .map_err(|error| failed(ErrorCode::InvalidParams, format!("`{method}` has wrong parameters: {error}")));
    match params.and_then(answer) {
        Ok(result) => Response::new_ok(id, result),
        Err(error) => Response::new_err(id, error.code, error.message),
    }
}

fn failed(code: ErrorCode, message: String) -> ResponseError {
    ResponseError { code: code as i32, message, data: None }
}
