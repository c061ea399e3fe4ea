// Socket.IO: what one client emits is emitted to all, or back to it.
const { createServer } = require("node:http");
const { Server } = require("socket.io");

const server = createServer((_, answer) => answer.writeHead(204).end());
const io = new Server(server, { transports: ["websocket"], serveClient: false });

io.on("connection", (socket) => {
  socket.on("message", (text) => io.emit("message", text));
  socket.on("echo", (text) => socket.emit("echo", text));
});
server.listen(Number(process.argv[2]), "127.0.0.1");
