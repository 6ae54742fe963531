//! System calls that std and rustix lack or that need care.
