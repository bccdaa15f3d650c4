--
-- PostgreSQL database dump
--

\restrict FUVVHKjriCSyqAtwzO8C5JWqqDgbYNbeUvncD9l82OTCwAWCECfADgznY7NM0YC

-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: rows; Type: TABLE; Schema: public; Owner: seqcols
--

CREATE TABLE public.rows (
    id bigint,
    flag boolean,
    price numeric(10,2),
    day date,
    at timestamp with time zone,
    name text,
    items integer[],
    words text[],
    nested integer[],
    home jsonb
);


ALTER TABLE public.rows OWNER TO seqcols;

--
-- Data for Name: rows; Type: TABLE DATA; Schema: public; Owner: seqcols
--

COPY public.rows (id, flag, price, day, at, name, items, words, nested, home) FROM stdin;
1	t	12.34	2024-02-29	2024-02-29 12:30:15.25+00	say "hi", ü	{12,7}	{a,"b c","d\\"e",NULL}	{{1,2},{3,4}}	{"city": "Oslo"}
2	f	\N	\N	\N		{}	{}	\N	\N
3	\N	\N	\N	\N	\N	\N	\N	\N	\N
\.


--
-- PostgreSQL database dump complete
--

\unrestrict FUVVHKjriCSyqAtwzO8C5JWqqDgbYNbeUvncD9l82OTCwAWCECfADgznY7NM0YC

