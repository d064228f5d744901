-- SPDX-License-Identifier: MIT
-- A table in memory: inserts, an index, a join, aggregates, updates.
create table item (id integer primary key, name text, price integer, kind integer);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 150000)
insert into item select i, 'item ' || (i * 7919 % 150001), i * 31 % 9973, i % 50 from n;
create index by_name on item (name);
create index by_price on item (price, kind);
select kind, count(*), sum(price), min(name), max(name) from item group by kind order by kind;
select count(*) from item a join item b on b.price = a.price and b.kind = a.kind where a.id % 3 = 0 and b.id > a.id;
update item set price = price + 1, name = name || '!' where kind % 7 = 3;
delete from item where name like '%99%' and price > 5000;
select count(*), total(price), group_concat(name) from item where id % 5000 = 1;
