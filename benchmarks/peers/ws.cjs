// The `ws` library of Node: its README's broadcast to all clients, and its echo.
const { createServer } = require("node:http");
const { WebSocket, WebSocketServer } = require("ws");

const server = createServer((_, answer) => answer.writeHead(204).end());
const everybody = new WebSocketServer({ noServer: true });
const echo = new WebSocketServer({ noServer: true });

everybody.on("connection", (socket) => {
  socket.on("error", console.error);
  socket.on("message", (data, isBinary) => {
    for (const client of everybody.clients) {
      if (client.readyState === WebSocket.OPEN) client.send(data, { binary: isBinary });
    }
  });
});

echo.on("connection", (socket) => {
  socket.on("error", console.error);
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
});

server.on("upgrade", (request, socket, head) => {
  const chosen = request.url === "/broadcast" ? everybody : echo;
  chosen.handleUpgrade(request, socket, head, (client) => chosen.emit("connection", client, request));
});
server.listen(Number(process.argv[2]), "127.0.0.1");
