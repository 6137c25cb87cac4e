// Starts `rototo lsp` for the workspaces of a window.
'use strict';

const vscode = require('vscode');
const { LanguageClient } = require('vscode-languageclient/node');

let client;

/** The files of a workspace, whatever language they have. */
const FILES = [
  '**/rototo-workspace.toml',
  '**/variables/*.toml',
  '**/qualifiers/*.toml',
  '**/resources/*.toml',
  '**/resources/*-objects/*.toml',
  '**/schemas/*.json',
  '**/lint/*.lua',
  '**/tests/*.toml',
];

async function start() {
  const settings = vscode.workspace.getConfiguration('rototo');
  const docs = settings.get('docsUrl');
  const args = docs ? ['lsp', '--docs-url', docs] : ['lsp'];
  const server = { command: settings.get('path'), args };
  client = new LanguageClient('rototo', 'rototo', server, {
    documentSelector: FILES.map((pattern) => ({ scheme: 'file', pattern })),
  });
  try {
    await client.start();
  } catch (error) {
    client = undefined;
    vscode.window.showErrorMessage(
      `The rototo server can't be started: ${error.message}. Set "rototo.path" to the rototo command.`,
    );
  }
}

async function stop() {
  const running = client;
  client = undefined;
  await running?.stop();
}

async function restart() {
  await stop();
  await start();
}

exports.activate = async (context) => {
  context.subscriptions.push(
    vscode.commands.registerCommand('rototo.restart', restart),
    vscode.workspace.onDidChangeConfiguration((change) => (change.affectsConfiguration('rototo') ? restart() : undefined)),
  );
  await start();
};

exports.deactivate = stop;
